"""What goes from the disk by itself: expired events, and events of nobody."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.control.act import act
from havre.control.deps import ReconcilerDeps
from havre.control.operation import Site
from havre.kernel.resource import NoStatus
from havre.kernel.world import World
from havre.services.logs import reconcilers
from havre.services.logs.reconcile.leftovers import Leftovers, Seen
from havre.services.logs.resources import GROUP, KINDS, STREAM, LogGroup, LogStream
from havre.store.memory import MemoryJournal, MemoryStore

DAY = 86_400


class Place:
    def __init__(self) -> None:
        self.now = 1000.0 * DAY
        world = World(lambda: self.now, Random(1))
        self.store = MemoryStore(KINDS, world)
        self.journal = MemoryJournal()

        def aws(account: str, region: str, service: str) -> Any:
            raise AssertionError("no reconciler of logs calls anybody")

        self.reconcilers = reconcilers(ReconcilerDeps(self.store, self.journal, world, Site(), aws))

    async def make(self, group: str, retention: int, *ages: int) -> None:
        """A group with one stream of events that are so many days old."""
        key = {"account": "1", "region": "r"}
        journal = f"logs/1/r/{group}/0"
        arn = f"arn:aws:logs:r:1:log-group:{group}"
        await self.store.transact(
            lambda tx: (
                tx.create(GROUP, **key, name=group, arn=arn, spec=LogGroup(group, retention), status=NoStatus()),
                tx.create(
                    STREAM, **key, name=f"{group}:s", arn="", spec=LogStream(group, "s", journal), status=NoStatus()
                ),
            )
        )
        for age in ages:
            await self.journal.append(journal, [(int((self.now - age * DAY) * 1000), b"%d" % age)])

    async def left(self, group: str) -> list[int]:
        return [int(e.data) for e in await self.journal.scan(f"logs/1/r/{group}/0")]

    async def run(self) -> list[str]:
        reasons: list[str] = []
        for reconciler in self.reconcilers:
            for key in reconciler.all_keys():
                seen = await reconciler.observe(key)
                if seen is not None:
                    plan, failure = await act(reconciler.decide(seen), reconciler.executors, self.store)
                    assert failure is None
                    reasons += plan.reasons
        return reasons


async def test_expired_events_go_and_others_stay() -> None:
    place = Place()
    await place.make("week", 7, 9, 8, 6, 0)
    await place.make("ever", 0, 900, 0)
    assert await place.run() == ["1 of its log streams have events that are older than 7 days"]
    assert await place.left("week") == [6, 0]
    assert await place.left("ever") == [900, 0]
    assert await place.run() == []
    place.now += 5 * DAY
    await place.run()
    assert await place.left("week") == [0]


async def test_events_of_nobody_go() -> None:
    place = Place()
    await place.make("kept", 0, 1)
    await place.journal.append("logs/1/r/gone/0", [(1, b"x")])
    await place.journal.append("cloudtrail/1/r", [(1, b"x")])
    await place.run()
    assert list(await place.journal.extents("")) == ["cloudtrail/1/r", "logs/1/r/kept/0"]


@given(kept=st.sets(st.sampled_from("abcdef")), known=st.frozensets(st.sampled_from("abcdef")))
def test_what_is_known_is_never_dropped(kept: set[str], known: frozenset[str]) -> None:
    plan = Leftovers(None).decide(Seen(1.0, tuple(sorted(kept)), known))  # type: ignore[arg-type]
    dropped = {name for effect in plan.effects for name in effect.streams}  # type: ignore[attr-defined]
    assert dropped == kept - known


@pytest.mark.parametrize(
    ("arn", "known"), [("arn:aws:logs:r:1:log-group:/a/b", True), ("arn:aws:ecs:r:1:task/x", False)]
)
def test_arns_are_known(arn: str, known: bool) -> None:
    key = Place().reconcilers[0].key_of(arn)
    assert (key == ("1", "r", "/a/b")) is known
