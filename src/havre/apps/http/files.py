"""Files from the page cache to a socket: ASGI's ``http.response.zerocopysend``.

To clients that keep up through a buffer of the worker's, which stays in the processor's cache: over loopback ``sendfile``,
whose pages the client is the first to touch, is slower, and now and then much slower. To others by ``sendfile``, for which
nothing is read that is not taken.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import Any

WORKERS = 4
SLICE = 16 << 20
"""Bytes after which a worker turns to another client."""
PIECE = 768 << 10
"""Bytes that are read at a time. They stay in a core's own cache of a mebibyte: with one or two a pull of 256 MiB took 25 to
35 % longer, and with 64 to 256 KiB, of which there are more, 25 to 60 %."""
NEAR = 640 << 10
"""The buffer of a socket to a client on this machine. The system lets it grow to 4 MiB, which no core's cache holds: then
256 MiB went 17.4 times a second, with this 19.4 times, the slowest of fifteen 11 and 14. Others need it for the way."""
PATIENCE = 10
"""Milliseconds that a worker waits for a client to take more; then the loop waits for it."""


class FileSender:
    """Workers, because a file may have to be read from the disk first; made when the first file is sent."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None

    async def send(self, transport: Any, file: int, offset: int, count: int) -> None:
        """``transport`` has nothing left to write, and nobody else writes to it meanwhile. Raises OSError when the client
        has gone or the file ends too early."""
        loop = asyncio.get_running_loop()
        if self._pool is None:
            self._pool = ThreadPoolExecutor(WORKERS, "http-files")
        push = _copy
        # a descriptor of our own: the transport's may be closed, and its number used again, while a worker writes
        with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as own:
            if _is_near(own):
                own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, NEAR)
            sock = own.fileno()
            while count:
                wanted = min(count, SLICE)
                done = await loop.run_in_executor(self._pool, push, sock, file, offset, wanted)
                offset += done
                count -= done
                if done < wanted:
                    push = _pass_on
                    await _writable(loop, sock)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)


def _is_near(sock: socket.socket) -> bool:
    """Whether its other end is on this machine."""
    return sock.family in (socket.AF_INET, socket.AF_INET6) and ip_address(sock.getpeername()[0]).is_loopback


_own = threading.local()


def _buffer() -> memoryview:
    """This worker's; made when it first needs one, for a process that sends no file has no room for it."""
    view: memoryview | None = getattr(_own, "view", None)
    if view is None:
        view = _own.view = memoryview(bytearray(PIECE))
    return view


def _copy(sock: int, file: int, offset: int, count: int) -> int:
    """As much as the client takes without a long wait: how many bytes that were."""
    ready, view = _writability(sock), _buffer()
    sent = 0
    while sent < count:
        length = os.preadv(file, [view[: count - sent]], offset + sent)
        if not length:
            raise _too_short()
        at = 0
        while at < length:
            try:
                at += os.write(sock, view[at:length])
            except BlockingIOError:
                if not ready.poll(PATIENCE):
                    return sent + at
        sent += length
    return sent


def _pass_on(sock: int, file: int, offset: int, count: int) -> int:
    """The same, without reading it."""
    ready = _writability(sock)
    sent = 0
    while sent < count:
        try:
            done = os.sendfile(sock, file, offset + sent, count - sent)
        except BlockingIOError:
            if not ready.poll(PATIENCE):
                break
            continue
        if not done:
            raise _too_short()
        sent += done
    return sent


def _writability(sock: int) -> select.poll:
    ready = select.poll()
    ready.register(sock, select.POLLOUT)
    return ready


def _too_short() -> OSError:
    return OSError("the file is shorter than was announced")


async def _writable(loop: asyncio.AbstractEventLoop, sock: int) -> None:
    future: asyncio.Future[None] = loop.create_future()

    def ready() -> None:
        if not future.done():
            future.set_result(None)

    loop.add_writer(sock, ready)
    try:
        await future
    finally:
        loop.remove_writer(sock)
