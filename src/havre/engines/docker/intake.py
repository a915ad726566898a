"""Where containers' lines come in: Docker's ``fluentd`` driver, synchronous, on a Unix socket.

The driver's next line waits until the socket has room; so a sink that is full stops the containers that write. Lines are
looked at in the socket, handed to the sink, and only then taken out of it. The sockets are left with the supervisor: a node
that was killed finds them again, and everything in them. At most the first pieces of one line longer than 16 KiB are lost
then, or the lines of one look come twice.

Reading is done in turns, not line by line: each turn's wake-up costs the writer and this process more than the line does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from havre.engines.docker.forward import MAX_MESSAGE, Lines, Malformed, Short, read
from havre.engines.ports import LogSink

log = logging.getLogger("havre.node")

_WINDOW = 1 << 20
_PATIENCE = 1.0
_TURN = 0.002
"""Seconds between two looks at a socket in which lines come: it holds a few hundred."""


class Shelf(Protocol):
    """Where sockets are left that shall outlive this process (apps/shelf.py)."""

    def found(self) -> Sequence[socket.socket]: ...

    def leave(self, sock: socket.socket) -> None: ...

    def take(self, sock: socket.socket) -> None:
        """Before it is closed."""
        ...


class Intake:
    """``sink`` takes (workload, container, lines); what it returns, if anything, is awaited before more is read."""

    def __init__(self, path: Path, sink: LogSink, shelf: Shelf) -> None:
        self._path = path
        self._sink = sink
        self._shelf = shelf
        self._open: set[_Connection] = set()

    async def run(self) -> None:
        """Listen for ever; what has come in at the end is handed over. No moment without a socket once there was one."""
        loop = asyncio.get_running_loop()
        listener = self._listener()
        for left in self._shelf.found():
            if left.fileno() >= 0 and left is not listener:
                self._adopt(left)
        loop.add_reader(listener, self._accept, listener)
        try:
            await loop.create_future()
        finally:
            loop.remove_reader(listener)
            self._shelf.take(listener)
            self._accept_last(listener)
            listener.close()
            await asyncio.gather(*(connection.finish() for connection in tuple(self._open)))

    def _listener(self) -> socket.socket:
        for left in self._shelf.found():
            listens = left.fileno() >= 0 and left.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            if listens and self._path.exists():
                return left
        fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(fresh))
        fresh.chmod(0o600)
        listener.listen(256)
        listener.setblocking(False)
        fresh.replace(self._path)
        self._shelf.leave(listener)
        return listener

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while True:
                made, _ = listener.accept()
                self._shelf.leave(made)
                self._adopt(made)

    def _accept_last(self, listener: socket.socket) -> None:
        """Nobody can connect any more; who has done so, and may have written already, comes in."""
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RD)
            self._accept(listener)

    def _adopt(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            self._shelf.take(sock)  # another listener has its place
            sock.close()
            return
        connection = _Connection(sock, self._sink, self._ended)
        self._open.add(connection)
        connection.watch()

    def _ended(self, connection: _Connection) -> None:
        self._open.discard(connection)
        self._shelf.take(connection.sock)
        connection.sock.close()


class _Connection:
    """One container's stream (or several, for all that the protocol says)."""

    def __init__(self, sock: socket.socket, sink: LogSink, ended: _Ended) -> None:
        self.sock = sock
        self._sink = sink
        self._ended = ended
        self._lines: dict[str, Lines] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._slow: asyncio.Future[list[BaseException | None]] | None = None

    def watch(self) -> None:
        self._timer = None
        asyncio.get_running_loop().add_reader(self.sock, self._look)

    def _look(self) -> None:
        """One turn."""
        asyncio.get_running_loop().remove_reader(self.sock)
        try:
            data = self.sock.recv(_WINDOW, socket.MSG_PEEK)
        except BlockingIOError:
            self.watch()
            return
        except OSError:
            data = b""
        try:
            used, waits = self._hand_over(data)
        except Malformed:
            self._ended(self)
        except OSError as error:  # the disk is full, say: what is in the socket stays there
            log.warning("lines are not taken in for a moment: %s", error)
            self._again(_PATIENCE)
        else:
            self._handed_over(data, used, waits)

    def _handed_over(self, data: bytes, used: int, waits: list[asyncio.Future[None]]) -> None:
        if not data or (not used and len(data) > MAX_MESSAGE):
            self._ended(self)
        elif waits:
            slow = self._slow = asyncio.gather(*waits, return_exceptions=True)
            slow.add_done_callback(lambda done: self._taken(used))
        else:
            self._taken(used)

    def _hand_over(self, data: bytes) -> tuple[int, list[asyncio.Future[None]]]:
        """How much of it were whole messages, and what has to be waited for. Raises Malformed."""
        at = 0
        batch: dict[str, list[tuple[int, bytes]]] = {}
        with contextlib.suppress(Short):
            while at < len(data):
                message, at = read(data, at)
                line = self._lines.setdefault(message.tag, Lines()).add(message)
                if line is not None:
                    batch.setdefault(message.tag, []).append((message.at, line))
        waits = []
        for tag, lines in batch.items():
            workload, _, container = tag.partition("/")
            if (wait := self._sink(workload, container, lines)) is not None:
                waits.append(wait)
        return at, waits

    def _taken(self, used: int) -> None:
        """The sink has them: they may leave the socket."""
        self._slow = None
        if self.sock.fileno() < 0:
            return
        while used > 0:
            used -= len(self.sock.recv(used))
        self._again(_TURN)

    def _again(self, after: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(after, self.watch)

    async def finish(self) -> None:
        """Let nothing more in, and hand over what is there; the driver sends on over another connection."""
        if self.sock.fileno() < 0:
            return
        asyncio.get_running_loop().remove_reader(self.sock)
        if self._slow is not None:
            await asyncio.wait([self._slow], timeout=1.0)
        if self._timer is not None:
            self._timer.cancel()
        with contextlib.suppress(OSError, Malformed):
            self.sock.shutdown(socket.SHUT_RD)
            while data := self.sock.recv(_WINDOW, socket.MSG_PEEK):
                used, waits = self._hand_over(data)
                if not used:
                    break
                if waits:
                    await asyncio.wait(waits, timeout=1.0)
                while used > 0:
                    used -= len(self.sock.recv(used))
        if self.sock.fileno() >= 0:
            self._ended(self)


class _Ended(Protocol):
    def __call__(self, connection: _Connection) -> None: ...
