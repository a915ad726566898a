"""A container as this process keeps it: what is on disk, what watches it, what it is at the moment."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress

import msgspec

from havre.engines.oci.containers.records import End, Place, Record, Run, lives
from havre.engines.ports import RunState
from havre.kernel.errors import Permanent


class Health(msgspec.Struct, frozen=True):
    status: str = "UNKNOWN"


class Kept:
    """``ended`` is set when its processes have, ``tidy`` when nothing but its directory is left of it."""

    def __init__(self, record: Record, place: Place) -> None:
        self.record = record
        self.place = place
        self.run: Run | None = None
        self.end: End | None = None
        self.health = "UNKNOWN"
        self.image_volumes: tuple[str, ...] = ()
        self.lock = asyncio.Lock()
        self.ended = asyncio.Event()
        self.tidy = asyncio.Event()
        self.checks: asyncio.Future[None] | None = None
        self._pidfd = -1

    @property
    def running(self) -> bool:
        return self.run is not None and self.run.started is not None and self.end is None

    def state(self) -> RunState:
        record, run = self.record, self.run
        end = self.end if self.ended.is_set() else None  # its last lines come first
        on = run is not None and end is None and run.started is not None
        return RunState(
            record.id,
            record.name,
            record.workload,
            record.container,
            "exited" if end is not None else "running" if on else "created",
            pid=run.first.pid if on and run is not None else 0,
            exit_code=end.code if end is not None else None,
            oom_killed=end is not None and end.oom_killed,
            error=end.error if end is not None else "",
            health=self.health if record.spec.health_check is not None else "UNKNOWN",
            started=run.started if run is not None else None,
            finished=end.finished if end is not None else None,
            ports=run.ports if on and run is not None else (),
            address=run.address if end is None and run is not None else "",  # before its first instruction
            labels=record.labels,
            created=record.created,
        )

    def watch(self, over: Callable[[], None]) -> None:
        """``over`` is called when its monitor has ended, which is the last to do so."""
        assert self.run is not None, "it was started"
        loop = asyncio.get_running_loop()
        try:
            self._pidfd = os.pidfd_open(self.run.monitor.pid)
        except OSError:
            loop.call_soon(over)
            return
        if not lives(self.run.monitor):  # the pid is another's by now
            self.unwatch()
            loop.call_soon(over)
            return
        loop.add_reader(self._pidfd, over)

    def unwatch(self) -> None:
        if self._pidfd >= 0:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    def signal(self, number: int) -> None:
        """To its first process; to one that has ended it is lost."""
        if self.run is None:
            return
        with suppress(OSError):
            pidfd = os.pidfd_open(self.run.first.pid)
            try:
                if lives(self.run.first):
                    signal.pidfd_send_signal(pidfd, number)
            finally:
                os.close(pidfd)


def signal_number(name: str) -> int:
    """``SIGTERM``, ``TERM``, ``15``, ``SIGRTMIN+3``. Raises Permanent in Docker's words."""
    text = name.upper().removeprefix("SIG")
    base, _, more = text.partition("+")
    if text.isdecimal() and 0 < int(text) < 65:
        return int(text)
    try:
        number = int(signal.Signals[f"SIG{base}"]) + int(more or 0)
    except (KeyError, ValueError):
        raise Permanent(f"Invalid signal: {name}") from None
    if not 0 < number < 65:
        raise Permanent(f"Invalid signal: {name}")
    return number
