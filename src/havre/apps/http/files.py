"""Files straight from the page cache to a socket: ASGI's ``http.response.zerocopysend``."""

from __future__ import annotations

import asyncio
import os
import select
from concurrent.futures import ThreadPoolExecutor
from typing import Any

WORKERS = 4
SLICE = 16 << 20
"""Bytes after which a worker turns to another client."""
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
        # a descriptor of our own: the transport's may be closed, and its number used again, while a worker writes
        sock = os.dup(transport.get_extra_info("socket").fileno())
        try:
            while count:
                wanted = min(count, SLICE)
                done = await loop.run_in_executor(self._pool, _push, sock, file, offset, wanted)
                offset += done
                count -= done
                if done < wanted:
                    await _writable(loop, sock)
        finally:
            os.close(sock)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)


def _push(sock: int, file: int, offset: int, count: int) -> int:
    """As much as the client takes without a long wait: how many bytes that were."""
    ready = select.poll()
    ready.register(sock, select.POLLOUT)
    sent = 0
    while sent < count:
        try:
            done = os.sendfile(sock, file, offset + sent, count - sent)
        except BlockingIOError:
            if not ready.poll(PATIENCE):
                break
            continue
        if not done:
            raise OSError("the file is shorter than was announced")
        sent += done
    return sent


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
