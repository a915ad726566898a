"""What an environment's log keeps while lines are on their way."""

from __future__ import annotations

import time
from random import Random
from typing import Any

from havre.control.functions.lines import TAIL, EventLog
from havre.control.nodelink.messages import LogStream
from havre.core.environments.framing import MAX_LINE
from havre.kernel.function import FunctionLogs
from havre.kernel.world import World


class Spool:
    """Remembers how much came at once."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def note(self, events: EventLog) -> None: ...

    def put(self, stream: LogStream, lines: list[tuple[int, bytes]]) -> None:
        self.sizes.append(sum(len(text) for _, text in lines))


def log_of(spool: Any) -> EventLog:
    stream = LogStream("w", "", "000000000000", "us-east-1", "g", "s", {})
    return EventLog(FunctionLogs("g"), stream, spool, World(time.time, Random(1)))


def test_a_tail_is_the_end_and_no_more_is_kept_for_it() -> None:
    log = log_of(Spool())
    log.begin_tail()
    for number in range(2000):
        log.output("runtime", b"%d " % number + b"x" * 1000 + b"\n", extension=False)
        assert log._tail is not None and sum(map(len, log._tail)) < TAIL + 1010
    tail = log.end_tail()
    assert len(tail) == TAIL and tail.endswith(b"x\n") and b"\n1999 x" in tail
    log.begin_tail()
    log.line(b"short\n")
    assert log.end_tail() == b"short\n"
    assert log.end_tail() == b""


def test_large_lines_do_not_wait_for_small_ones() -> None:
    spool = Spool()
    log = log_of(spool)
    for _ in range(50):
        log.output("runtime", b"x" * (MAX_LINE - 1) + b"\n", extension=False)
    assert len(spool.sizes) == 12 and set(spool.sizes) == {4 * MAX_LINE}
    log.flush()
    assert sum(spool.sizes) == 50 * MAX_LINE
