"""The process beside the server that runs the borrowed services: moto behind a socket, with a book of changes.

The server starts it when one of these services is first used (``apps/beside.py``), and it ends when the server does. It
has no door of its own: what comes over the socket has been proven and authorized.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from functools import partial
from pathlib import Path

from havre.engines.borrowed import Answered, Asked, Called, Deliver, Delivered, Frame, Refused, Told, pack, read
from havre.engines.moto import values
from havre.engines.moto.backends import Answer, Http
from havre.engines.moto.book import Book
from havre.engines.moto.expiry import EVERY
from havre.engines.moto.outbox import Caller
from havre.engines.moto.segments import Full
from havre.engines.moto.snapshots import Unreadable

log = logging.getLogger("havre.borrowed")


class Desk:
    """One socket: requests in, answers and notifications out."""

    def __init__(self, folder: Path, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._book = Book(folder, self._deliver)
        self._open = False

    async def run(self) -> None:
        """Until the server goes. Raises OSError when the disk fails."""
        self._book.open()
        self._open = True
        for frame, body in list(self._book.outbox.pending.values()):
            self._send(frame, body)
        book = asyncio.get_running_loop().create_task(self._book.run())
        listening = asyncio.get_running_loop().create_task(self._listen())
        expiring = asyncio.get_running_loop().create_task(self._expire())
        await asyncio.wait([book, listening], return_when=asyncio.FIRST_COMPLETED)
        expiring.cancel()
        listening.cancel()
        self._book.stop()
        await book
        self._book.close()

    async def _expire(self) -> None:
        """As long as there are items to expire, and then again after a while."""
        while True:
            done: asyncio.Future[Answer | Full] = asyncio.get_running_loop().create_future()
            if not self._book.expire(partial(_settle, done)) or isinstance(await done, Full):
                await asyncio.sleep(EVERY)

    def stop(self) -> None:
        self._reader.feed_eof()

    async def _listen(self) -> None:
        while True:
            try:
                frame, body = await read(self._reader)
            except (EOFError, ConnectionError):
                return
            self._take(frame, body)
            await self._writer.drain()

    def _take(self, frame: Frame, body: bytes) -> None:
        if isinstance(frame, Asked):
            request = Http(
                frame.service, frame.operation, frame.account, frame.region, frame.method, frame.path, frame.query,
                frame.headers, body,
            )  # fmt: skip
            self._serve(request, frame, Caller(*frame.caller))
        elif isinstance(frame, Called):
            try:
                request = values.write(frame)
            except Exception as error:
                self._send(Answered(frame.number, {}, "ValidationException", f"{type(error).__name__}: {error}", 400))
                return
            self._serve(request, frame, Caller(*frame.caller))
        elif isinstance(frame, Delivered):
            self._book.arrived(frame.number)

    def _serve(self, request: Http, asked: Asked | Called, caller: Caller) -> None:
        if asked.changes:
            self._book.change(request, caller, lambda answer: self._answer(asked, answer))
        else:
            self._answer(asked, self._book.read(request))

    def _answer(self, asked: Asked | Called, answer: Answer | Full) -> None:
        if isinstance(answer, Full):
            self._send(Refused(asked.number, str(answer)))
        elif isinstance(asked, Asked):
            pieces = () if answer.stored is None else self._book.lying(answer.stored)
            self._send(Told(asked.number, answer.status, answer.headers, pieces), answer.body)
        else:
            self._send(self._read(asked, answer))

    def _read(self, asked: Called, answer: Answer) -> Answered:
        try:
            return values.read(asked, answer)
        except Exception as error:  # the change is done, and the next one must not wait for this
            log.exception("the answer of %s %s cannot be read", asked.service, asked.operation)
            return Answered(asked.number, {}, "InternalFailure", f"{type(error).__name__}: {error}", 500)

    def _deliver(self, frame: Deliver, body: bytes) -> None:
        if self._open:
            self._send(frame, body)

    def _send(self, frame: Frame, body: bytes = b"") -> None:
        """To a server that is gone: nothing. What is under way is carried out first, and then this ends."""
        if self._writer.is_closing():
            return
        self._writer.write(pack(frame, body))
        if body:
            self._writer.write(body)


def _settle(done: asyncio.Future[Answer | Full], answer: Answer | Full) -> None:
    if not done.done():
        done.set_result(answer)


def main() -> None:
    os.umask(0o077)
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s borrowed %(levelname)s %(name)s: %(message)s"
    )
    Path("/proc/self/comm").write_text("havre-borrowed")
    folder, descriptor = Path(sys.argv[1]), int(sys.argv[2])
    import uvloop

    async def serve() -> None:
        reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=descriptor))
        desk = Desk(folder, reader, writer)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, desk.stop)
        try:
            await desk.run()
        except Unreadable as error:
            log.critical("the state in %s cannot be read: %s", folder, error)
            raise SystemExit(1) from None

    uvloop.run(serve())


if __name__ == "__main__":
    main()
