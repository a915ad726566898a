"""Group commit: all that gathers while one commit runs goes into the next one.

Statements run on the event loop, for they only touch memory, and a thread would have to fight for the interpreter at each
of them. The commit, which waits for the disk, runs in place while the disk is quick (handing it to a thread and back costs
as much as a quick disk takes), and in a thread of its own when it is not, so that a slow disk never holds up the loop.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Generic, TypeVar

import apsw

from havre.store.sqlite.database import CHECKPOINT_PAGES, Database, refused

Item = TypeVar("Item")

QUICK = 0.0005
"""Seconds: a disk that usually commits faster than this is waited for in place."""
SLOW, PAUSE = 0.002, 0.001
"""Seconds: where a commit takes longer than SLOW, and some wait for the next one already, those who were answered just now
are given a PAUSE to come back: else there were always two groups, each waiting for the other's commit."""
TURNS = 4
"""Turns of the event loop for which a commit waits at most while each brings more to write. Clients that are answered
together come back nearly together: without this the first of them gets a commit of its own, and all others wait for it."""
Job = tuple[asyncio.AbstractEventLoop, Callable[[], None], Callable[[Exception | None], None]]


class Committer(Generic[Item]):
    """``write`` turns items into statements; ``done`` hears, in order, what became durable, or why it did not.

    With ``heavy`` the statements of a batch for which it says True run in the thread as well.
    """

    def __init__(
        self,
        database: Database,
        write: Callable[[Sequence[Item]], None],
        done: Callable[[Sequence[Item], Exception | None], None],
        heavy: Callable[[Sequence[Item]], bool] | None = None,
    ) -> None:
        self._database = database
        self._write = write
        self._done = done
        self._heavy = heavy
        self._gathered: list[Item] = []
        self._busy = False
        self._took = 0.0
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._copying: threading.Thread | None = None
        self._copied = False
        """Whether all but the end of the log has been written back: what is left is done with no writer beside it."""
        self._idle: list[asyncio.Future[None]] = []

    @property
    def idle(self) -> bool:
        return not self._busy

    @property
    def gathered(self) -> list[Item]:
        """What the next commit will take."""
        return self._gathered

    def add(self, item: Item) -> None:
        self._gathered.append(item)
        if not self._busy:
            self._busy = True
            self._gather(TURNS)

    def _gather(self, turns: int) -> None:
        """Start the next round after a turn of the loop that brings nothing more, at the latest after so many."""
        asyncio.get_running_loop().call_soon(self._look, turns, len(self._gathered))

    def _look(self, turns: int, before: int) -> None:
        if len(self._gathered) > before and turns > 1:
            self._gather(turns - 1)
        else:
            self._round()

    def take_back(self) -> list[Item]:
        """Give up what has gathered and is not being committed."""
        items, self._gathered = self._gathered, []
        return items

    def _round(self) -> None:
        """Start the commit of what has gathered, the end of a checkpoint when it is due, or rest."""
        if self._copied:
            self._copied = False
            self._hand_over(self._database.checkpoint, lambda error: self._round())
            return
        if self._copying is None and self._database.log_pages >= CHECKPOINT_PAGES:
            self._copy()
        items, self._gathered = self._gathered, []
        if not items:
            self._rest()
            return
        if self._heavy is not None and self._heavy(items):
            self._hand_over(lambda: self._transaction(items), lambda error: self._finish(items, error))
            return
        error = _attempt(lambda: self._statements(items))
        if error is not None or self._took < QUICK:
            self._finish(items, error or _attempt(self._commit))
        else:
            self._hand_over(self._commit, lambda error: self._finish(items, error))

    def _copy(self) -> None:
        """Write the log back while commits go on: it takes as long as a hundred of them."""
        loop = asyncio.get_running_loop()

        def copy() -> None:
            error = _attempt(self._database.copy_log)
            with suppress(RuntimeError):  # the loop was closed
                loop.call_soon_threadsafe(self._have_copied, error)

        self._copying = threading.Thread(target=copy, name=f"copy-{self._database.path.name}", daemon=True)
        self._copying.start()

    def _have_copied(self, error: Exception | None) -> None:
        """What the disk refuses is tried again with the next commit."""
        self._copying, self._copied = None, error is None
        if self._copied and not self._busy:
            self._busy = True
            self._round()

    def _transaction(self, items: Sequence[Item]) -> None:
        self._statements(items)
        self._commit()

    def _statements(self, items: Sequence[Item]) -> None:
        self._database.writer.execute("BEGIN IMMEDIATE")
        self._write(items)

    def _commit(self) -> None:
        began = time.perf_counter()
        self._database.writer.execute("COMMIT")
        self._took += 0.3 * (time.perf_counter() - began - self._took)

    def _finish(self, items: Sequence[Item], error: Exception | None) -> None:
        if error is not None:
            _attempt(self._database.roll_back)
            error = refused(error) if isinstance(error, apsw.Error | OSError | MemoryError) else error
        try:
            self._done(items, error)
        finally:
            if self._gathered and self._took > SLOW:
                asyncio.get_running_loop().call_later(PAUSE, self._round)
            else:
                self._gather(TURNS)

    def _rest(self) -> None:
        self._busy = False
        for future in self._idle:
            if not future.done():
                future.set_result(None)
        self._idle.clear()

    def _hand_over(self, work: Callable[[], None], then: Callable[[Exception | None], None]) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"commit-{self._database.path.name}", daemon=True)
            self._thread.start()
        self._jobs.put((asyncio.get_running_loop(), work, then))

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            loop, work, then = job
            error = _attempt(work)
            try:
                loop.call_soon_threadsafe(then, error)
            except RuntimeError:  # the loop was closed without closing the store: nobody waits any more
                return

    async def rest(self) -> None:
        """Returns when nothing is under way that anybody waits for."""
        if self._busy:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.append(future)
            await future

    async def close(self) -> None:
        await self.rest()
        if self._copying is not None:
            await asyncio.to_thread(self._copying.join)
            await asyncio.sleep(0)  # it reports to the loop
            await self.rest()
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
            self._thread = None


def _attempt(work: Callable[[], None]) -> Exception | None:
    """The disk's refusal, or None. Anything else is a bug: it is passed on as well, so that no caller waits for ever."""
    try:
        work()
    except Exception as error:
        return error
    return None
