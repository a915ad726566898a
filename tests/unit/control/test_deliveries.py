"""Deliveries: at least once, in the order of their lane, retried, buried; nothing lost in a crash."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from havre.control.deliveries import BURIALS, Deliveries, Delivery, delivery_kind, send, temporary
from havre.control.deps import ReconcilerDeps
from havre.control.operation import Site
from havre.control.runner import Runner
from havre.core.delivery import RetryPolicy
from havre.kernel.errors import ApiError, Permanent, Temporary
from havre.kernel.world import World
from havre.store.memory import MemoryJournal, MemoryStore

KIND = delivery_kind("test.delivery")
POLICY = RetryPolicy(at_once=1, growing=3, least=1, most=10)


class Crash(BaseException):
    """The process dies here."""


class Post:
    """A courier who fails as he is told."""

    def __init__(self) -> None:
        self.carried: list[str] = []
        self.buried: list[tuple[str, str, int]] = []
        self.failures: dict[str, list[BaseException]] = {}

    async def carry(self, parcel: Any) -> None:
        name = parcel.spec.parcel.decode()
        for failure in (self.failures.get(name) or [])[:1]:
            self.failures[name].pop(0)
            raise failure
        self.carried.append(name)

    async def bury(self, parcel: Any) -> None:
        name = f"grave of {parcel.spec.parcel.decode()}"
        for failure in (self.failures.get(name) or [])[:1]:
            self.failures[name].pop(0)
            raise failure
        self.buried.append((parcel.spec.parcel.decode(), parcel.status.code, parcel.status.failed))


class Place:
    def __init__(self) -> None:
        self.now = 1000.0
        self.world = World(lambda: self.now, Random(1))
        self.store = MemoryStore([KIND], self.world)
        self.post = Post()
        self.start()

    def start(self) -> None:
        deps = ReconcilerDeps(self.store, MemoryJournal(), self.world, Site(), None)  # type: ignore[arg-type]
        self.runner = Runner([Deliveries(KIND, self.post, deps)], self.store, self.world)

    async def send(self, name: str, lane: str = "", policy: RetryPolicy = POLICY) -> None:
        spec = Delivery(name.encode(), lane or name, self.now, policy)
        await self.store.transact(lambda tx: send(tx, KIND, "1", "r", name, spec))

    async def settle(self, crashes: int = 0) -> None:
        """Until nothing is left."""
        while self.store.list(KIND):
            try:
                await self.runner.drain()
            except Crash:
                self.start()
                continue
            when = self.runner.next_time()
            if self.store.list(KIND):
                assert when is not None
                self.now = max(self.now, when)


@pytest.fixture
def place() -> Place:
    return Place()


async def test_what_is_sent_arrives_once(place: Place) -> None:
    for name in ("a", "b"):
        await place.send(name)
    await place.settle()
    assert sorted(place.post.carried) == ["a", "b"] and not place.post.buried


async def test_what_fails_is_tried_again_when_it_is_due(place: Place) -> None:
    place.post.failures["a"] = [Temporary("busy")] * 3
    await place.send("a")
    await place.runner.drain()
    (waiting,) = place.store.list(KIND)
    assert waiting.status.failed == 2 and waiting.status.due == 1001.0
    await place.settle()
    assert place.post.carried == ["a"] and place.now > 1001


@pytest.mark.parametrize(
    ("failures", "code", "failed"),
    [
        ([Temporary("Busy: come later")] * 9, "Busy", 5),
        ([Permanent("no such place")], "SDK_CLIENT_ERROR", 1),
        ([ApiError("AccessDenied", "no")], "AccessDenied", 1),
    ],
)
async def test_what_cannot_be_carried_is_buried(place: Place, failures: Any, code: str, failed: int) -> None:
    place.post.failures["a"] = failures
    await place.send("a")
    await place.settle()
    assert place.post.buried == [("a", code, failed)] and not place.post.carried


async def test_a_grave_that_is_closed_is_tried_again_and_then_left(place: Place) -> None:
    place.post.failures = {n: [Permanent("x")] for n in ("a", "b", "c")}
    place.post.failures["grave of a"] = [Temporary("busy")] * 2
    place.post.failures["grave of b"] = [Temporary("busy")] * BURIALS
    place.post.failures["grave of c"] = [ApiError("QueueDoesNotExist", "none")]
    for name in ("a", "b", "c"):
        await place.send(name)
    await place.settle()
    assert [name for name, *_ in place.post.buried] == ["a"]


async def test_nobody_overtakes_in_a_lane(place: Place) -> None:
    place.post.failures["2"] = [Temporary("busy")] * 3
    for name in ("1", "2", "3"):
        await place.send(name, "lane")
    await place.send("free")
    await place.runner.drain()
    assert place.post.carried == ["1", "free"] or place.post.carried == ["free", "1"]
    await place.settle()
    assert [n for n in place.post.carried if n != "free"] == ["1", "2", "3"]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("xy"), st.lists(st.sampled_from(["ok", "busy", "crash"]), max_size=4)),
        min_size=1,
        max_size=6,
    )
)
async def test_a_crash_loses_nothing_and_keeps_the_order(parcels: list[tuple[str, list[str]]]) -> None:
    place = Place()
    for n, (lane, fates) in enumerate(parcels):
        name = f"{n}{lane}"
        place.post.failures[name] = [Crash() if f == "crash" else Temporary("busy") for f in fates if f != "ok"]
        await place.send(name, lane)
    await place.settle()
    for lane in "xy":
        arrived = list(dict.fromkeys(n for n in place.post.carried if n.endswith(lane)))
        assert arrived == [f"{n}{each}" for n, (each, _) in enumerate(parcels) if each == lane]


def test_what_may_pass_by_itself() -> None:
    assert isinstance(temporary(ApiError("ThrottlingException", "")), Temporary)
    assert isinstance(temporary(ApiError("InternalFailure", "", 500)), Temporary)
    for error in (ApiError("ResourceNotFoundException", "", 404), ApiError("NotImplementedException", "", 501)):
        assert temporary(error) is error
