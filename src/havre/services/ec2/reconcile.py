"""What nodes build of each VPC, kept as EC2's records say: every change of a security group reaches running tasks.

A VPC is built while an interface exists in it, and a while longer: the next task finds it as it was. The first interface
writes it in its own transaction (compile.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from havre.control import nodes
from havre.control.deps import ReconcilerDeps
from havre.control.reconciler import Executor
from havre.kernel.arn import Arn
from havre.kernel.effects import Create, Effect, Plan, Remove, Update
from havre.kernel.resource import NoStatus, Resource
from havre.kernel.vpc import Vpc
from havre.services.ec2 import resources as r
from havre.services.ec2.compile import compiled, in_use
from havre.store.ports import Change

VpcKey = tuple[str, str, str]


LINGER = 60.0
"""Seconds that a VPC is kept after its last interface."""


class Seen(msgspec.Struct, frozen=True):
    """``wanted`` is None for a VPC that is not there (any more), ``written`` while nodes build none, ``idle_since`` while
    an interface exists in it."""

    account: str
    region: str
    arn: str
    now: float
    wanted: Vpc | None
    written: Resource[nodes.VpcSpec, NoStatus] | None
    idle_since: float | None


def decide(seen: Seen) -> Plan:
    if seen.wanted is None:
        return Plan(writes=(Remove(seen.written),) if seen.written else ())
    if seen.idle_since is not None:
        ends = seen.idle_since + LINGER
        if seen.written is None or seen.now >= ends:
            reasons = ("no interface exists in this VPC: nodes build it when one does",)
            return Plan(writes=(Remove(seen.written),) if seen.written else (), reasons=reasons)
        reasons = ("no interface exists in this VPC: nodes keep it a while longer, for the next one",)
        return _as_described(seen, seen.wanted, ends, reasons)
    return _as_described(seen, seen.wanted, None, ("nodes build this VPC as it is described",))


def _as_described(seen: Seen, wanted: Vpc, wake_at: float | None, reasons: tuple[str, ...]) -> Plan:
    spec = nodes.VpcSpec(wanted)
    if seen.written is None:
        made = Create(nodes.VPC.name, seen.account, seen.region, wanted.id, seen.arn, spec, NoStatus())
        return Plan(writes=(made,), wake_at=wake_at, reasons=reasons)
    if seen.written.spec != spec:
        return Plan(writes=(Update(seen.written, spec=spec),), wake_at=wake_at, reasons=reasons)
    return Plan(wake_at=wake_at, reasons=reasons)


class VpcReconciler:
    name = "ec2.vpc"
    watches = (
        *(kind.name for kind in (r.VPC, r.SUBNET, r.GROUP, r.GATEWAY, r.TABLE, r.INTERFACE)),
        nodes.VPC.name,
    )
    resync = 300.0

    def __init__(self, deps: ReconcilerDeps) -> None:
        self._store = deps.store
        self._world = deps.world
        self._idle: dict[VpcKey, float] = {}
        """Since when there is no interface in a VPC that nodes build; after a restart, since then."""

    def keys_of(self, change: Change) -> Iterable[VpcKey]:
        key = change.key
        if key.kind in (r.VPC.name, nodes.VPC.name):
            yield (key.account, key.region, key.name)
        elif key.kind == r.INTERFACE.name:
            yield from self._of_interface(change)
        else:
            for vpc in {side.spec.vpc for side in (change.old, change.new) if side is not None and side.spec.vpc}:
                yield (key.account, key.region, vpc)

    def _of_interface(self, change: Change) -> Iterable[VpcKey]:
        """An interface matters as the first or the last of its VPC, and when its groups were changed."""
        side = change.new or change.old
        assert side is not None, "a change has a side"
        key = (change.key.account, change.key.region, side.spec.vpc)
        built = self._store.get(nodes.VPC, *key) is not None
        if side.spec.regrouped or built != in_use(self._store, side.spec.vpc):
            yield key

    def all_keys(self) -> Iterable[VpcKey]:
        known = {(v.meta.account, v.meta.region, v.meta.name) for v in self._store.list(r.VPC)}
        return known | {(v.meta.account, v.meta.region, v.meta.name) for v in self._store.list(nodes.VPC)}

    async def observe(self, key: VpcKey) -> Seen | None:
        vpc, written = self._store.get(r.VPC, *key), self._store.get(nodes.VPC, *key)
        if vpc is None or written is None or in_use(self._store, key[2]):
            self._idle.pop(key, None)
        if vpc is None and written is None:
            return None
        now = self._world.now()
        idle_since = None if in_use(self._store, key[2]) else now
        if idle_since is not None and written is not None:
            idle_since = self._idle.setdefault(key, now)
        wanted = compiled(self._store, vpc) if vpc is not None else None
        return Seen(key[0], key[1], vpc.meta.arn if vpc else "", now, wanted, written, idle_since)

    def decide(self, seen: Seen) -> Plan:
        return decide(seen)

    def key_of(self, arn: str) -> VpcKey | None:
        parsed = Arn.parse(arn)
        if parsed.service != "ec2" or parsed.kind != "vpc":
            return None
        return (parsed.account, parsed.region, parsed.name)

    @property
    def executors(self) -> Mapping[type[Effect], Executor]:
        return {}
