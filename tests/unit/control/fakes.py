"""A reconciler small enough to know what it must do: bring ``level`` of a tank to what its spec wants, a litre at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from random import Random
from typing import Any

import msgspec

from havre.kernel.effects import Effect, Plan, Update
from havre.kernel.resource import Key, Kind, Resource
from havre.kernel.world import World
from havre.store.memory import MemoryStore
from havre.store.ports import Change, Store


class Tank(msgspec.Struct, frozen=True):
    wanted: int = 0


class Level(msgspec.Struct, frozen=True):
    level: int = 0
    problem: str = ""


class Fill(Effect):
    """Make the real level so many litres."""

    tank: str
    litres: int


class Seen(msgspec.Struct, frozen=True):
    now: float
    tank: Resource[Tank, Level]
    real: int


TANK: Kind[Tank, Level] = Kind("test.tank", Tank, Level)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Tanks:
    """``real`` is the world outside; ``before``/``after`` an effect the test may fail, wait or crash."""

    name = "test.tank"
    watches = ("test.tank",)
    resync = 600.0

    def __init__(self, store: Store, world: World) -> None:
        self.store = store
        self.world = world
        self.real: dict[str, int] = {}
        self.before: Callable[[Fill], Awaitable[None]] | None = None
        self.after: Callable[[Fill], Awaitable[None]] | None = None
        self.running: set[str] = set()
        self.on_failure: Callable[[Effect, Exception], Plan] | None = None
        self.observed = 0

    def keys_of(self, change: Change) -> Iterable[str]:
        return [change.key.name]

    def all_keys(self) -> Iterable[str]:
        return [r.meta.name for r in self.store.list(TANK)]

    def key_of(self, arn: str) -> str | None:
        return arn.removeprefix("tank/") if arn.startswith("tank/") else None

    async def observe(self, key: str) -> Seen | None:
        self.observed += 1
        tank = self.store.get(TANK, "", "", key)
        return None if tank is None else Seen(self.world.now(), tank, self.real.get(key, 0))

    def decide(self, seen: Seen) -> Plan:
        name, wanted = seen.tank.meta.name, seen.tank.spec.wanted
        if seen.real == wanted:
            return Plan(writes=(Update(seen.tank, status=Level(seen.real)),))
        step = seen.real + (1 if wanted > seen.real else -1)
        return Plan(
            effects=(Fill(key=f"{name}:{step}", tank=name, litres=step),),
            writes=(Update(seen.tank, status=Level(step)),),
            wake_at=seen.now,
            reasons=(f"The tank has {seen.real} of {wanted} litres.",),
            on_failure=self.on_failure,
        )

    async def fill(self, effect: Fill) -> None:
        assert effect.tank not in self.running, "a key ran twice at once"
        self.running.add(effect.tank)
        try:
            if self.before is not None:
                await self.before(effect)
            self.real[effect.tank] = effect.litres
            if self.after is not None:
                await self.after(effect)
        finally:
            self.running.discard(effect.tank)

    @property
    def executors(self) -> Mapping[type[Effect], Callable[[Any], Awaitable[Any]]]:
        return {Fill: self.fill}


def make(clock: Callable[[], float] | None = None, seed: int = 1) -> tuple[MemoryStore, World, Tanks]:
    world = World(clock or Clock(), Random(seed))
    store = MemoryStore([TANK], world)
    return store, world, Tanks(store, world)


def loop_world(seed: int = 1) -> tuple[MemoryStore, World, Tanks]:
    """On the event loop's own (virtual) time."""
    return make(lambda: 1000.0 + asyncio.get_running_loop().time(), seed)


async def want(store: Store, name: str, litres: int) -> None:
    """Somebody asks for so much."""

    def change(t: Any) -> None:
        seen = t.get(TANK, "", "", name)
        if seen is None:
            t.create(TANK, account="", region="", name=name, arn=f"tank/{name}", spec=Tank(litres), status=Level())
        else:
            t.update(seen, spec=Tank(litres))

    await store.transact(change)


def level(store: Store, name: str) -> int:
    tank = store.get(TANK, "", "", name)
    assert tank is not None
    return tank.status.level


def key(name: str) -> Key:
    return Key("test.tank", "", "", name)
