"""Names of files made durable in groups: while a directory is synced for one group, the next one gathers."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import NamedTuple


class _Waiting(NamedTuple):
    move: Callable[[], object]
    directory: int
    durable: asyncio.Future[None]


_Job = tuple[asyncio.AbstractEventLoop, Sequence[_Waiting]]


class Syncer:
    def __init__(self) -> None:
        self._gathered: list[_Waiting] = []
        self._busy = False
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    async def sync(self, move: Callable[[], object], directory: int) -> None:
        """``move`` runs in the thread: it puts a file under its name in the directory. The name is durable on return. Raises
        OSError."""
        loop = asyncio.get_running_loop()
        durable: asyncio.Future[None] = loop.create_future()
        self._gathered.append(_Waiting(move, directory, durable))
        if not self._busy:
            self._busy = True
            loop.call_soon(self._round)
        await durable

    def _round(self) -> None:
        group, self._gathered = self._gathered, []
        if not group:
            self._busy = False
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="blobs-sync", daemon=True)
            self._thread.start()
        self._jobs.put((asyncio.get_running_loop(), group))

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            loop, group = job
            errors = _sync_all(group)
            try:
                loop.call_soon_threadsafe(self._finish, group, errors)
            except RuntimeError:  # the loop was closed: nobody waits any more
                return

    def _finish(self, group: Sequence[_Waiting], errors: Sequence[OSError | None]) -> None:
        for waiting, error in zip(group, errors, strict=True):
            if waiting.durable.done():  # the caller was cancelled
                continue
            if error is None:
                waiting.durable.set_result(None)
            else:
                waiting.durable.set_exception(error)
        asyncio.get_running_loop().call_soon(self._round)  # behind those who go on now and may have more

    def close(self) -> None:
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
            self._thread = None


def _sync_all(group: Sequence[_Waiting]) -> list[OSError | None]:
    """What the disk refused, one by one."""
    errors = [_attempt(waiting.move) for waiting in group]
    for directory in {waiting.directory for waiting in group}:
        try:
            os.fsync(directory)
        except OSError as error:
            errors = [e or (error if w.directory == directory else None) for w, e in zip(group, errors, strict=True)]
    return errors


def _attempt(move: Callable[[], object]) -> OSError | None:
    try:
        move()
    except OSError as error:
        return error
    return None
