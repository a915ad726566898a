"""The process beside this one that runs the borrowed services: started when one is first used, started again when it dies.

It hangs on a socket pair: nobody else can speak to it, and it ends when this process does. What it was doing when it died is
answered with a temporary fault; whether it was done then is for the client to find out, as on AWS.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from havre.control.operation import Call, Request
from havre.control.tasks import Tasks
from havre.engines.borrowed import Answered, Asked, Called, Deliver, Delivered, Frame, Piece, Refused, Told, pack, read
from havre.kernel.errors import ApiError, Temporary
from havre.wire.http import HttpRequest, HttpResponse
from havre.wire.routing import bucket_path

log = logging.getLogger("havre.borrowed")

PATIENCE = 20.0
"""Seconds in which it writes down its state when it is told to end."""
_SIGNATURES = ("X-Amz-", "AWSAccessKeyId=", "Signature=", "Expires=")
STEP = 1 << 20
"""Bytes that are read at once of what lies on the disk."""
PAUSE = 2.0
"""Seconds after which another is started when one died before it had said anything."""
MODULE = "havre.apps.borrowed"
MOST_TRACE = 1024
"""Characters of a trace header that travel on."""


class _CutOff(Temporary):
    """It died; nobody knows whether it had done what was asked."""


class Beside:
    """``folder`` is where its state lies. ``delivered_to`` hears of notifications, as a task each."""

    def __init__(self, folder: Path, delivered_to: Callable[[Deliver, bytes], Awaitable[None]]) -> None:
        self._folder = folder
        self._delivered_to = delivered_to
        self._number = 0
        self._waiting: dict[int, asyncio.Future[tuple[Frame, bytes]]] = {}
        self._starting: asyncio.Lock | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._tasks = Tasks()
        self._handing_over: set[int] = set()
        self._not_before = 0.0
        self.problem = ""
        """Why it does not run, when it should; "" once it has answered again."""
        self.closing = False

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def start(self) -> asyncio.StreamWriter:
        """Returns at once when it runs. Raises Temporary."""
        if self._writer is not None and self._writer.is_closing():  # lost, and nobody has read its end yet
            self._gone(self._writer)
        if self._writer is not None:
            return self._writer
        if self._starting is None:
            self._starting = asyncio.Lock()
        async with self._starting:
            if self._writer is None:
                if self.closing:
                    raise Temporary("Havre is stopping")
                if asyncio.get_running_loop().time() < self._not_before:
                    raise Temporary(self.problem)
                self._writer = await self._spawn()
            return self._writer

    async def _spawn(self) -> asyncio.StreamWriter:
        """Another program, not a fork: what moto is made of shall not be in this one, and the order of sets shall be the
        same each time."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        ours, theirs = socket.socketpair()
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", MODULE, str(self._folder), str(theirs.fileno()),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                env=_environment(),
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            ours.close()
            raise Temporary(f"cannot start the borrowed services: {error}") from error
        finally:
            theirs.close()
        reader, writer = await asyncio.open_connection(sock=ours)
        self._tasks.spawn(self._live(reader, writer, self._process), "borrowed services")
        return writer

    async def _live(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, process: asyncio.subprocess.Process
    ) -> None:
        heard = await self._listen(reader)
        self._gone(writer)
        code = await process.wait()
        if not code:
            return
        self.problem = f"the borrowed services ended ({code}); the log says why"
        log.error("%s: they start again when they are needed", self.problem)
        if not heard:
            self._not_before = asyncio.get_running_loop().time() + PAUSE

    async def _listen(self, reader: asyncio.StreamReader) -> bool:
        """Until it has gone; whether anything was heard of it."""
        heard = False
        while True:
            try:
                frame, body = await read(reader)
            except (EOFError, ConnectionError):
                return heard
            heard, self.problem = True, ""
            if isinstance(frame, Deliver):
                if frame.number not in self._handing_over:  # one that it tells again after a restart may be under way
                    self._handing_over.add(frame.number)
                    self._tasks.spawn(self._hand_over(frame, body), "notification")
            elif isinstance(frame, Told | Answered | Refused):
                waiting = self._waiting.pop(frame.number, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result((frame, body))

    def _gone(self, writer: asyncio.StreamWriter) -> None:
        writer.close()
        if self._writer is not writer:
            return
        self._writer = None
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(_CutOff("the borrowed services ended while they did this"))
        self._waiting.clear()

    async def _hand_over(self, frame: Deliver, body: bytes) -> None:
        try:
            await self._delivered_to(frame, body)
        finally:
            self._handing_over.discard(frame.number)
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(pack(Delivered(frame.number)))

    async def _ask(self, frame: Asked | Called, body: bytes = b"") -> tuple[Frame, bytes]:
        """What only reads is asked again when it was cut off. Raises Temporary."""
        try:
            return await self._ask_once(frame, body)
        except _CutOff:
            if frame.changes:
                raise
        return await self._ask_once(frame, body)

    async def _ask_once(self, frame: Asked | Called, body: bytes) -> tuple[Frame, bytes]:
        writer = await self.start()
        waiting: asyncio.Future[tuple[Frame, bytes]] = asyncio.get_running_loop().create_future()
        self._waiting[frame.number] = waiting
        writer.write(pack(frame, body))
        if body:
            writer.write(body)
        with contextlib.suppress(ConnectionError):  # then nothing is answered, and _gone says so
            await writer.drain()
        told, content = await waiting
        if isinstance(told, Refused):
            raise Temporary(f"the change cannot be written down: {told.reason}")
        return told, content

    async def ask(self, call: Call, changes: bool, request: HttpRequest) -> HttpResponse:
        """As a Lender."""
        self._number += 1
        assert isinstance(request.body, bytes)
        s3 = call.service == "s3"
        asked = Asked(
            self._number, call.service, call.operation, call.account, call.region, changes, request.method,
            bucket_path(request) if s3 else request.path,
            _unsigned(request.query) if s3 else request.query,
            [(name, value if value.isascii() else _clean(value)) for name, value in request.headers.items()],
            _caller(call),
        )  # fmt: skip
        told, body = await self._ask(asked, request.body)
        assert isinstance(told, Told)
        headers = [(name, value) for name, value in told.headers]
        if not told.pieces:
            return HttpResponse(told.status, headers, body)
        headers = [(name, value) for name, value in headers if name.lower() != "content-length"]
        length = sum(piece.length for piece in told.pieces)
        return HttpResponse(told.status, [*headers, ("content-length", str(length))], _lying(_opened(told.pieces)))

    async def values(self, call: Call, changes: bool, request: Request) -> dict[str, Any]:
        """As a Lender."""
        self._number += 1
        called = Called(
            self._number, call.service, call.operation, call.account, call.region, changes, dict(request), _caller(call)
        )
        told, _ = await self._ask(called)
        assert isinstance(told, Answered)
        if told.code:
            raise ApiError(told.code, told.message, told.status)
        return told.answer

    async def stop(self, kill: bool = False) -> None:
        """It writes down its state, unless it is killed, and ends. The next request starts it again."""
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), PATIENCE)
            except TimeoutError:
                log.error("the borrowed services do not end: they are killed, and start again from their log")
                process.kill()
                await process.wait()
        if self._writer is not None:
            self._gone(self._writer)
        await self._tasks.close()

    async def close(self) -> None:
        """For good."""
        self.closing = True
        await self.stop()


def _opened(pieces: Sequence[Piece]) -> list[tuple[int, Piece]]:
    """At once: an open file is there until it is closed, whatever becomes of its name. Raises Temporary."""
    files: list[tuple[int, Piece]] = []
    try:
        for piece in pieces:
            files.append((os.open(piece.path, os.O_RDONLY | os.O_CLOEXEC), piece))
    except OSError as error:
        for file, _ in files:
            os.close(file)
        raise Temporary(f"the object has just moved: {error}") from error
    return files


async def _lying(files: list[tuple[int, Piece]]) -> AsyncIterator[bytes]:
    try:
        for file, piece in files:
            for at in range(0, piece.length, STEP):
                wanted = min(STEP, piece.length - at)
                step = await asyncio.to_thread(os.pread, file, wanted, piece.offset + at)
                if len(step) != wanted:
                    raise OSError(f"{piece.path} is cut short")
                yield step
    finally:
        for file, _ in files:
            os.close(file)


def _environment() -> dict[str, str]:
    """Profiles and regions of the user's clients, and moto's switches, are not for it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MOTO_", "BOTO_"))}
    return {**kept, "PYTHONHASHSEED": "0"}


def _clean(text: str) -> str:
    """Bytes that are no UTF-8 become question marks."""
    return text.encode("utf-8", "replace").decode()


def _caller(call: Call) -> tuple[str, ...]:
    return f"AWS:{call.principal.id}", call.source_ip, call.request_id, call.trace[:MOST_TRACE]


def _unsigned(query: str) -> str:
    """Without the signature of a presigned URL, which has done its work."""
    if "X-Amz-" not in query and "AWSAccessKeyId=" not in query:
        return query
    return "&".join(pair for pair in query.split("&") if not pair.startswith(_SIGNATURES))
