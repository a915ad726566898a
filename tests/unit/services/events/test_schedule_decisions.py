"""Schedules decided on at any times, with crashes before the write: each time comes once, in order."""

from __future__ import annotations

from random import Random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from havre.control.act import write
from havre.control.deps import ReconcilerDeps
from havre.control.operation import Site
from havre.core.schedules import parse
from havre.kernel.world import World
from havre.services.events.matching import timestamp
from havre.services.events.reconcile.schedules import Schedules
from havre.services.events.resources import DELIVERY, KINDS, RULE, Rule, RuleStatus, Shipment
from havre.store.memory import MemoryJournal, MemoryStore

START = 1_700_000_000.0
ARN = "arn:aws:events:r:1:rule/x"


class Place:
    def __init__(self, expression: str) -> None:
        self.now = START
        world = World(lambda: self.now, Random(1))
        self.store = MemoryStore(KINDS, world)
        self.schedules = Schedules(ReconcilerDeps(self.store, MemoryJournal(), world, Site(), None))  # type: ignore[arg-type]
        self.spec = Rule("default", "x", schedule=expression, started=START, targets={"t": {"Id": "t", "Arn": "a"}})

    async def make(self) -> None:
        await self.store.transact(
            lambda tx: tx.create(
                RULE, account="1", region="r", name="default|x", arn=ARN, spec=self.spec, status=RuleStatus()
            )
        )

    async def look(self, crash: bool) -> None:
        """Observe, decide, and write, unless the process dies before it."""
        seen = await self.schedules.observe(("1", "r", "default|x"))
        assert seen is not None
        plan = self.schedules.decide(seen)
        if not crash:
            await write(plan.writes, self.store)
            assert plan.wake_at is None or plan.wake_at > self.now

    def times(self) -> list[str]:
        found = [msgspec.msgpack.decode(r.spec.parcel, type=Shipment) for r in self.store.list(DELIVERY)]
        return sorted(each.event["time"] for each in found)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["rate(1 minute)", "rate(7 minutes)", "cron(0/5 * * * ? *)", "cron(13 * ? * * *)"]),
    st.lists(st.tuples(st.integers(1, 1700), st.booleans()), max_size=25),
)
async def test_each_time_comes_once(expression: str, looks: list[tuple[int, bool]]) -> None:
    place = Place(expression)
    await place.make()
    await place.look(crash=False)
    for seconds, crash in looks:
        place.now += seconds
        await place.look(crash)
    await place.look(crash=False)
    schedule, expected, at = parse(expression, START), [], START
    while (following := schedule.after(at)) is not None and following <= place.now:
        expected.append(following)
        at = following
    came = place.times()
    assert len(came) == len(set(came))
    longest = max((s for s, _ in looks), default=0) * len(looks)
    if longest < 60 * 60:  # no more than the latest 60 are made up for
        assert came == [timestamp(t) for t in expected]
    else:
        assert set(came) <= {timestamp(t) for t in expected}
