"""Goes through an archive and writes its events down for the rules of the bus, some at a time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import msgspec

from havre.control.deliveries import Delivery, Progress
from havre.control.deps import ReconcilerDeps
from havre.control.reconciler import Executor
from havre.kernel.effects import Create, Effect, Plan, Update
from havre.services.events import matching, queries
from havre.services.events.names import Place
from havre.services.events.resources import (
    ARCHIVE,
    DELIVERY,
    REPLAY,
    ReplayRecord,
    ReplayStatus,
    RuleRecord,
)
from havre.store.ports import Change, Entry, Part

AT_ONCE = 200
Key = tuple[str, ...]
_ENDED = ("COMPLETED", "CANCELLED", "FAILED")


class Seen(msgspec.Struct, frozen=True):
    """``events``: the next ones of the archive; None when there is no archive."""

    now: float
    replay: ReplayRecord
    rules: tuple[RuleRecord, ...]
    events: tuple[Entry, ...] | None


class Replays:
    """Keys are replays that have not ended."""

    name = "events.replays"
    watches: tuple[str, ...] = (REPLAY.name,)
    resync = 600.0

    def __init__(self, deps: ReconcilerDeps) -> None:
        self._deps = deps

    def keys_of(self, change: Change) -> Iterable[Key]:
        return (tuple(change.key[1:]),) if change.new is not None else ()

    def all_keys(self) -> Iterable[Key]:
        return [tuple(r.key[1:]) for r in self._deps.store.list(REPLAY) if r.status.state not in _ENDED]

    def key_of(self, arn: str) -> Key | None:
        return None

    async def observe(self, key: Key) -> Seen | None:
        store = self._deps.store
        replay = store.get(REPLAY, *key)
        if replay is None or replay.status.state in _ENDED:
            return None
        spec, status = replay.spec, replay.status
        archive = store.get(ARCHIVE, key[0], key[1], spec.archive.rpartition("/")[2])
        events: tuple[Entry, ...] | None = None
        if archive is not None:
            after = (status.at, status.seq) if status.at else None
            part = Part(int(spec.begin * 1000), int(spec.end * 1000), after)
            events = tuple(await self._deps.journal.scan(archive.spec.journal, part, limit=AT_ONCE, size=1 << 20))
        rules = tuple(queries.rules(store, Place(key[0], key[1], spec.bus)))
        return Seen(self._deps.world.now(), replay, rules, events)

    def decide(self, seen: Seen) -> Plan:
        replay, status = seen.replay, seen.replay.status
        if replay.spec.cancelled:
            return _ends(seen, "CANCELLED")
        if seen.events is None:
            return _ends(seen, "FAILED", "The archive does not exist any more.")
        if not seen.events:
            return _ends(seen, "COMPLETED")
        last = seen.events[-1]
        later = ReplayStatus("RUNNING", last.at, last.seq, None, status.reason)
        return Plan((), (*_shipments(seen), Update(replay, status=later)), seen.now)

    @property
    def executors(self) -> Mapping[type[Effect], Executor]:
        return {}


def _ends(seen: Seen, state: str, reason: str = "") -> Plan:
    status = msgspec.structs.replace(seen.replay.status, state=state, ended=seen.now, reason=reason)
    return Plan((), (Update(seen.replay, status=status),))


def _shipments(seen: Seen) -> Iterable[Create[Delivery, Progress]]:
    spec = seen.replay.spec
    for entry in seen.events or ():
        event = {**json.loads(entry.data), "replay-name": seen.replay.meta.name}
        for rule in seen.rules:
            said = rule.spec
            if not said.enabled or not said.pattern or (spec.rules and rule.meta.arn not in spec.rules):
                continue
            if not matching.compiled(said.pattern).matches(event):
                continue
            for id, target in said.targets.items():
                name, delivery = matching.parcel(rule, id, target, event, seen.now)
                meta = rule.meta
                yield Create(DELIVERY.name, meta.account, meta.region, name, "", delivery, Progress())
