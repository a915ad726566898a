"""Files made durable, each by a thread, and their names in groups: while a directory is synced for one group, the next one
gathers."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import NamedTuple


class Unnamed(OSError):
    """The file has its name, but the disk failed to take it."""


class _Job(NamedTuple):
    write: Callable[[], object]
    move: Callable[[], object]
    directory: int
    durable: asyncio.Future[None]


class Syncer:
    """At most ``limit`` threads, started as they are needed."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._threads: list[threading.Thread] = []
        self._under_way = 0
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._written: list[_Job] = []
        self._naming = False

    async def publish(self, write: Callable[[], object], move: Callable[[], object], directory: int) -> None:
        """``write`` makes a file durable, then ``move`` puts it under its name in the directory, both in a thread. The name
        is durable on return. Raises Unnamed, and what the two raise, and then the file was not moved."""
        job = _Job(write, move, directory, asyncio.get_running_loop().create_future())
        self._under_way += 1
        if len(self._threads) < min(self._under_way, self._limit):
            thread = threading.Thread(target=self._run, name=f"blobs-sync-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._jobs.put(job)
        await job.durable

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            error = _attempt(job.write)
            if error is None:
                self._name(job)
            else:
                self._report([job], [error])

    def _name(self, job: _Job) -> None:
        """By whichever thread names already, else by this one."""
        with self._lock:
            self._written.append(job)
            if self._naming:
                return
            self._naming = True
        while group := self._next_group():
            self._report(group, _name_all(group))

    def _next_group(self) -> list[_Job]:
        with self._lock:
            group, self._written = self._written, []
            self._naming = bool(group)
        return group

    def _report(self, group: Sequence[_Job], errors: Sequence[Exception | None]) -> None:
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            group[0].durable.get_loop().call_soon_threadsafe(self._finish, group, errors)

    def _finish(self, group: Sequence[_Job], errors: Sequence[Exception | None]) -> None:
        self._under_way -= len(group)
        for job, error in zip(group, errors, strict=True):
            if job.durable.done():  # the caller was cancelled
                continue
            if error is None:
                job.durable.set_result(None)
            else:
                job.durable.set_exception(error)

    def close(self) -> None:
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()


def _name_all(group: Sequence[_Job]) -> list[Exception | None]:
    """What the disk refused, one by one."""
    errors = [_attempt(job.move) for job in group]
    for directory in {job.directory for job in group}:
        try:
            os.fsync(directory)
        except OSError as error:
            unnamed = Unnamed(*error.args)
            errors = [e or (unnamed if j.directory == directory else None) for j, e in zip(group, errors, strict=True)]
    return errors


def _attempt(work: Callable[[], object]) -> Exception | None:
    """The disk's refusal. Anything else is a bug: it is passed on as well, so that no caller waits for ever."""
    try:
        work()
    except Exception as error:
        return error
    return None
