"""Applies lifecycle policies: images that have had their time go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from havre.control.images import IMAGE, REPOSITORY, TAG, Place, Refusal, Repository
from havre.control.images.changes import remove_image, tags_of
from havre.control.images.kinds import place_of
from havre.control.reconciler import Executor
from havre.core.images.lifecycle import Candidate, expire, parse
from havre.kernel.arn import Arn
from havre.kernel.effects import Effect, Plan, Update, Write
from havre.kernel.world import World
from havre.services.ecr.candidates import candidates
from havre.store.ports import Change, Store, Transaction

AGE = 600.0
"""Seconds after its push in which no image expires: the images of an index are pushed before it, and look unused until it
is there."""
EVERY = 3600.0
BATCH = 100


class Seen(msgspec.Struct, frozen=True):
    now: float
    place: Place
    repository: Repository
    images: tuple[Candidate, ...]


class ExpireImages(Effect, frozen=True):
    """``images``: (digest, the tags that it had when that was decided)."""

    place: Place
    images: tuple[tuple[str, tuple[str, ...]], ...]


class Expiry:
    """Keys are repositories that have a policy."""

    name = "ecr.lifecycle"
    watches = (REPOSITORY.name, IMAGE.name, TAG.name)
    resync = EVERY

    def __init__(self, store: Store, world: World) -> None:
        self._store = store
        self._world = world

    def keys_of(self, change: Change) -> Iterable[Place]:
        resource = change.new or change.old
        if resource is None:
            return ()
        if change.key.kind == REPOSITORY.name:
            return (Place(change.key.account, change.key.region, change.key.name),)
        place = place_of(resource)
        repository = self._store.get(REPOSITORY, *place)
        return (place,) if repository is not None and repository.spec.lifecycle else ()

    def all_keys(self) -> Iterable[Place]:
        return [Place(r.meta.account, r.meta.region, r.meta.name) for r in self._store.list(REPOSITORY)]

    def key_of(self, arn: str) -> Place | None:
        parsed = Arn.parse(arn)
        if parsed.service != "ecr" or parsed.kind != "repository":
            return None
        return Place(parsed.account, parsed.region, parsed.name)

    async def observe(self, key: Place) -> Seen | None:
        repository = self._store.get(REPOSITORY, *key)
        if repository is None or not repository.spec.lifecycle:
            return None
        return Seen(self._world.now(), key, repository, candidates(self._store, key))

    def decide(self, seen: Seen) -> Plan:
        status, now = seen.repository.status, seen.now
        due = expire(parse(seen.repository.spec.lifecycle), seen.images, now)
        ready = [i for i, _ in due if now - i.pushed >= AGE][:BATCH]
        writes: tuple[Write, ...] = ()
        if ready or status.evaluated is None or now - status.evaluated >= EVERY:
            writes = (Update(seen.repository, status=msgspec.structs.replace(status, evaluated=now)),)
        effects: tuple[Effect, ...] = ()
        if ready:
            key = f"{seen.place.scope} {ready[0].digest} {len(ready)}"
            effects = (ExpireImages(key, seen.place, tuple((i.digest, i.tags) for i in ready)),)
        ripe = min((i.pushed + AGE for i, _ in due if now - i.pushed < AGE), default=now + EVERY)
        reasons = tuple(f"the image {i.digest} expires by the rule with priority {p}" for i, p in due)
        return Plan(effects, writes, min(ripe, now + EVERY), reasons)

    @property
    def executors(self) -> Mapping[type[Effect], Executor]:
        return {ExpireImages: self._expire}

    async def _expire(self, effect: ExpireImages) -> None:
        await self._store.transact(lambda change: _remove(change, effect))


def _remove(change: Transaction, effect: ExpireImages) -> None:
    """What was tagged or put into an index since is left alone."""
    for digest, tags in effect.images:
        if tuple(tags_of(change, effect.place, digest)) != tags:
            continue
        try:
            remove_image(change, effect.place, digest)
        except Refusal:
            continue
