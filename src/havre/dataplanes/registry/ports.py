"""What the registry gets handed in."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Protocol

import msgspec

from havre.control.images import Place
from havre.control.operation import Principal


class Authorize(Protocol):
    """May this principal do this to this repository?"""

    async def __call__(self, principal: Principal, action: str, place: Place, source_ip: str) -> str:
        """ "" when the caller's policies and the repository's allow it; otherwise the refusal in AWS's words. ``action`` is
        an ECR action with its prefix; ``place.repository`` is "" for the whole registry."""
        ...


class Pack(Protocol):
    """Small blobs, beside the store's records. ``put``, ``remove`` and ``clear`` are seen at once; what they give is done
    when they are durable, and raises Temporary when the disk refuses, and then they are not so. A transaction of the store
    that runs after them is durable no sooner."""

    def put(self, name: str, content: bytes, at: float) -> Awaitable[None]:
        """``at``: seconds since the epoch. What had the name before is replaced."""
        ...

    def remove(self, name: str) -> Awaitable[None]: ...

    def clear(self) -> Awaitable[None]: ...

    def get(self, name: str) -> bytes | None: ...

    def has(self, name: str) -> bool: ...

    async def stored(self) -> list[tuple[str, float, int]]:
        """(name, when it was put, size) of each that is durable."""
        ...


class Access(msgspec.Struct, frozen=True):
    """One request to the data plane, as CloudTrail records it. ``error`` is the error code, "" when it succeeded."""

    principal: Principal
    place: Place
    action: str
    parameters: Mapping[str, str]
    error: str
    message: str
    source_ip: str
    user_agent: str


class Recorder(Protocol):
    """Takes note of a request; must not block."""

    def __call__(self, access: Access) -> None: ...
