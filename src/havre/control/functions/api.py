"""What the Runtime API (``dataplanes/runtime_api``) and an environment have to do with each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

OK = b'{"status":"OK"}\n'
"""What is answered to what a process tells."""
USUAL_CONNECTIONS = 64
"""Of the processes of an environment, at once."""


class Exchange(Protocol):
    """One HTTP request of a process in an environment. It is answered once, at once or later; of a process that has gone,
    nobody hears."""

    body: bytes
    """"" where the request was too large (``too_large``), or is streamed."""
    too_large: bool
    on_lost: Callable[[Exchange], None] | None
    """Called when the process's connection is gone."""

    def header(self, name: bytes) -> str:
        """By its name in lower case; "" for none. Trailers too, once the body has ended."""
        ...

    def answer(self, status: int, body: bytes = b"", headers: bytes = b"") -> None:
        """``headers`` are whole lines, each with its CRLF."""
        ...

    def pause(self) -> None:
        """Take no more of its body until ``resume``."""
        ...

    def resume(self) -> None: ...


class Sink(Protocol):
    """Takes the body of a streamed answer."""

    def piece(self, data: bytes) -> None: ...

    def end(self, exchange: Exchange, whole: bool) -> None:
        """``whole`` is False where the connection broke."""
        ...


class Host(Protocol):
    """An environment, as its processes see it over HTTP. Nothing in here waits. ``connections``: so many at once, two more
    than usually for each invocation that it works on beside others."""

    connections: int

    def next(self, exchange: Exchange) -> None: ...

    def response(self, exchange: Exchange, request_id: str) -> None: ...

    def stream(self, exchange: Exchange, request_id: str) -> Sink | None:
        """A streamed answer begins; None: it was answered with an error, its body is thrown away."""
        ...

    def error(self, exchange: Exchange, request_id: str) -> None: ...

    def init_error(self, exchange: Exchange) -> None: ...

    def restore_next(self, exchange: Exchange) -> None: ...

    def restore_error(self, exchange: Exchange) -> None: ...

    def credentials(self, exchange: Exchange) -> None: ...

    def register(self, exchange: Exchange) -> None: ...

    def event_next(self, exchange: Exchange) -> None: ...

    def extension_error(self, exchange: Exchange, phase: str) -> None: ...

    def subscribe(self, exchange: Exchange, version: str) -> None: ...


class ApiServer(Protocol):
    def drop(self) -> None:
        """All connections; who asks from then on is somebody else."""
        ...

    def close(self) -> None:
        """The listener and all connections."""
        ...


OpenApi = Callable[[int, Host], ApiServer]
"""(descriptor of a listening socket, which belongs to the server from then on; whom it serves)."""
