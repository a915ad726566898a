"""What services ask of functions, whoever runs them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Protocol

from havre.kernel.function import Function, Invocation, Outcome, Provisioned


class Functions(Protocol):
    """Functions as the nodes run them. The server holds quotas and concurrency limits before it comes here; a node that
    has no room any more says so with Temporary."""

    async def prepare(self, function: Function) -> None:
        """Returns when an invocation could begin at once: code fetched and unpacked, root file system there. Raises
        Permanent with the reason in words (image missing, archive broken, no such runtime on this machine), Temporary."""
        ...

    async def invoke(self, function: Function, invocation: Invocation) -> Outcome:
        """In an idle environment of this function, else in a new one. A function's failure is an Outcome, too. Raises
        Permanent when the function cannot run here, Temporary when no node can take it now or its answer is lost."""
        ...

    def stream(self, function: Function, invocation: Invocation) -> AsyncIterator[bytes | str | Outcome]:
        """The content type of the answer (str), pieces of it as the function writes them, at the end the Outcome."""
        ...

    async def provision(self, function: Function, count: int) -> None:
        """Keep so many environments of it initialised, from now on; 0 ends that. Returns at once."""
        ...

    def provisioned(self) -> Mapping[str, Provisioned]:
        """By the function's ``id``, for those that ``provision`` asked for."""
        ...

    async def retire(self, id: str) -> None:
        """This function is not invoked any more: its idle environments go."""
        ...


class CodeStore(Protocol):
    """Archives of functions and layers by their digest, on the disk of the server."""

    async def put(self, data: bytes) -> str:
        """Durable when it returns. The digest: SHA-256 in hex."""
        ...

    def path(self, digest: str) -> Path:
        """Where the archive is. Raises Gone."""
        ...

    async def sweep(self, used: set[str]) -> None:
        """Forget all but these, and what came within the last hour."""
        ...
