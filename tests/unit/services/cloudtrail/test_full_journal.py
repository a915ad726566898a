"""A journal on a disk that is full for long."""

from __future__ import annotations

from typing import Any

import pytest
from tests.running_gateway import ACCOUNT
from tests.unit.services.cloudtrail.test_cloudtrail import draft

from havre.kernel.errors import Temporary
from havre.services.cloudtrail import trail as trails
from havre.services.cloudtrail.trail import Trail, decode, stream
from havre.store.memory import MemoryJournal


class Failing(MemoryJournal):
    broken = False

    async def append(self, stream: str, entries: Any, *, now: int = 0) -> int:
        if self.broken:
            raise Temporary("the disk is full")
        return await super().append(stream, entries, now=now)


async def test_a_journal_that_takes_nothing_does_not_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(trails, "MOST_WAITING", 3)
    journal = Failing()
    trail = Trail(journal, lambda: 1000.0)
    journal.broken = True
    for number in range(5):
        trail.record(draft(number, region="r"))
    with pytest.raises(Temporary):
        await trail.flush()
    journal.broken = False
    await trail.flush()
    trail.record(draft(7, region="r"))
    await trail.flush()
    entries = await journal.scan(stream(ACCOUNT, "r"))
    assert [decode(e.data).request_id for e in entries] == ["id-0", "id-1", "id-2", "id-7"]
    assert caplog.text.count("2 events are lost") == 1
