"""The image in memory that every adapter reads from: tables with indexes, and transactions with an undo log."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import msgspec

from havre.kernel.errors import Conflict, Gone
from havre.kernel.resource import Key, Kind, Meta, Resource
from havre.kernel.world import World
from havre.store.ports import Change

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T", bound=msgspec.Struct)
R = TypeVar("R")

Place = tuple[str, str, str]
"""(account, region, name): a key within its kind. Plain tuples, because they hash and compare fastest."""
Record = Resource[Any, Any]
Index = Callable[[Record], str | tuple[str, ...] | None]


class Table:
    """All resources of one kind. ``order`` and every index bucket are sorted lists: inserting moves pointers only, and
    listing never sorts."""

    __slots__ = ("buckets", "functions", "kind", "order", "rows")

    def __init__(self, kind: Kind[Any, Any]) -> None:
        self.kind = kind
        self.rows: dict[Place, Record] = {}
        self.order: list[Place] = []
        self.functions: tuple[tuple[str, Index], ...] = tuple(kind.indexes.items())
        self.buckets: dict[str, dict[str, list[Place]]] = {name: {} for name in kind.indexes}

    def put(self, place: Place, new: Record | None) -> Record | None:
        """Insert, replace or (None) remove. Gives what was there. A failing index function leaves nothing changed."""
        old = self.rows.get(place)
        moves = self._moves(old, new)
        if new is None:
            if old is None:
                return None
            del self.rows[place]
            del self.order[bisect_left(self.order, place)]
        else:
            self.rows[place] = new
            if old is None:
                insort(self.order, place)
        for bucket, gone, come in moves:
            for value in gone:
                self._leave(bucket, value, place)
            for value in come:
                insort(bucket.setdefault(value, []), place)
        return old

    def _moves(
        self, old: Record | None, new: Record | None
    ) -> list[tuple[dict[str, list[Place]], Iterable[str], Iterable[str]]]:
        moves: list[tuple[dict[str, list[Place]], Iterable[str], Iterable[str]]] = []
        for name, function in self.functions:
            before = function(old) if old is not None else None
            after = function(new) if new is not None else None
            if before != after:
                gone, come = _values(before), _values(after)
                moves.append((self.buckets[name], gone - come, come - gone))
        return moves

    @staticmethod
    def _leave(bucket: dict[str, list[Place]], value: str, place: Place) -> None:
        places = bucket[value]
        if len(places) == 1:
            del bucket[value]
        else:
            del places[bisect_left(places, place)]

    def load(self, rows: Sequence[tuple[Place, Record]]) -> None:
        """Fill an empty table with rows that come in the order of their places."""
        self.rows = dict(rows)
        self.order = [place for place, _ in rows]
        for name, function in self.functions:
            bucket = self.buckets[name]
            for place, record in rows:
                found = function(record)
                if found.__class__ is str:
                    bucket.setdefault(found, []).append(place)
                elif found is not None:
                    for value in _values(found):
                        bucket.setdefault(value, []).append(place)


def _values(found: str | tuple[str, ...] | None) -> set[str]:
    if found is None:
        return set()
    return {found} if isinstance(found, str) else set(found)


class Image:
    """Everything that is stored, as of the last transaction that ran. Reading it is what Reader promises."""

    def __init__(self, kinds: Iterable[Kind[Any, Any]]) -> None:
        self.revision = 0
        self.tables: dict[str, Table] = {}
        for kind in kinds:
            if kind.name in self.tables:
                raise ValueError(f"kind {kind.name} is declared twice")
            self.tables[kind.name] = Table(kind)

    def kind(self, name: str) -> Kind[Any, Any]:
        return self.tables[name].kind

    def get(self, kind: Kind[S, T], account: str, region: str, name: str) -> Resource[S, T] | None:
        return self.tables[kind.name].rows.get((account, region, name))

    def list(self, kind: Kind[S, T], account: str | None = None, region: str | None = None) -> Sequence[Resource[S, T]]:
        table = self.tables[kind.name]
        rows, order = table.rows, table.order
        if account is None:
            return [rows[p] for p in order if region is None or p[1] == region]
        if region is None:
            first = bisect_left(order, (account, "", ""))
            last = bisect_left(order, (account + "\0", "", ""))
        else:
            first = bisect_left(order, (account, region, ""))
            last = bisect_left(order, (account, region + "\0", ""))
        return [rows[p] for p in order[first:last]]

    def find(self, kind: Kind[S, T], index: str, value: str) -> Sequence[Resource[S, T]]:
        table = self.tables[kind.name]
        rows = table.rows
        return [rows[p] for p in table.buckets[index].get(value, ())]

    def first(self, kind: Kind[S, T], index: str, value: str) -> Resource[S, T] | None:
        table = self.tables[kind.name]
        places = table.buckets[index].get(value)
        return table.rows[places[0]] if places else None

    def count(self, kind: Kind[S, T], index: str, value: str) -> int:
        return len(self.tables[kind.name].buckets[index].get(value, ()))


class Executed(msgspec.Struct, frozen=True):
    """What one transaction did to the image. ``undo`` puts back what was there, last written first."""

    revision: int
    changes: tuple[Change, ...]
    emitted: tuple[tuple[str, bytes], ...]
    undo: tuple[tuple[str, Place, Record | None], ...]


class ImageTransaction:
    """A Transaction that writes straight into the image and remembers how to take it back."""

    def __init__(self, image: Image, world: World) -> None:
        self._image = image
        self._version = image.revision + 1
        self._now: float | None = None
        self._world = world
        self._undo: list[tuple[str, Place, Record | None]] = []
        self._first: dict[Key, Record | None] = {}
        self._emitted: list[tuple[str, bytes]] = []
        self.kind = image.kind
        self.get = image.get
        self.list = image.list
        self.find = image.find
        self.first = image.first
        self.count = image.count

    @property
    def revision(self) -> int:
        return self._image.revision

    def create(
        self, kind: Kind[S, T], *, account: str, region: str, name: str, arn: str, spec: S, status: T
    ) -> Resource[S, T]:
        if self._image.get(kind, account, region, name) is not None:
            raise Conflict(f"{kind.name} {name} exists already")
        now = self._time()
        meta = Meta(arn, account, region, name, self._version, now, now)
        made: Resource[S, T] = Resource(kind.name, meta, spec, status)
        self._put(kind.name, (account, region, name), made)
        return made

    def update(
        self, seen: Resource[S, T], *, spec: S | None = None, status: T | None = None, deleting: float | None = None
    ) -> Resource[S, T]:
        old = seen.meta
        if not self._stands(seen):
            raise Gone(f"{seen.kind} {old.name} is gone")
        meta = Meta(
            old.arn,
            old.account,
            old.region,
            old.name,
            self._version,
            old.created,
            self._time(),
            old.deleting if deleting is None else deleting,
        )
        made: Resource[S, T] = Resource(
            seen.kind, meta, seen.spec if spec is None else spec, seen.status if status is None else status
        )
        self._put(seen.kind, (old.account, old.region, old.name), made)
        return made

    def remove(self, seen: Record) -> None:
        if self._stands(seen):
            meta = seen.meta
            self._put(seen.kind, (meta.account, meta.region, meta.name), None)

    def emit(self, topic: str, payload: bytes) -> None:
        self._emitted.append((topic, payload))

    def _stands(self, seen: Record) -> bool:
        """Whether it is there. Raises Conflict when it is there in another version."""
        meta = seen.meta
        place = (meta.account, meta.region, meta.name)
        stored = self._image.tables[seen.kind].rows.get(place)
        if stored is seen:
            return True
        if stored is None:
            return False
        if stored.meta.version != meta.version or stored.meta.version == self._version:
            raise Conflict(f"{seen.kind} {meta.name} has moved on")
        return True

    def _time(self) -> float:
        if self._now is None:
            self._now = self._world.now()
        return self._now

    def _put(self, kind: str, place: Place, new: Record | None) -> None:
        old = self._image.tables[kind].put(place, new)
        self._undo.append((kind, place, old))
        self._first.setdefault(Key(kind, *place), old)

    def finish(self) -> Executed | None:
        """Count the transaction; None when it wrote nothing."""
        if not self._first and not self._emitted:
            return None
        self._image.revision = self._version
        tables = self._image.tables
        changes = []
        for key, old in self._first.items():
            new = tables[key.kind].rows.get(key[1:])
            if old is not new:
                changes.append(Change(self._version, key, old, new))
        return Executed(self._version, tuple(changes), tuple(self._emitted), tuple(self._undo))

    def abandon(self) -> None:
        """Take everything back."""
        undo(self._image, self._undo)


def undo(image: Image, steps: Sequence[tuple[str, Place, Record | None]]) -> None:
    for kind, place, old in reversed(steps):
        image.tables[kind].put(place, old)


def execute(image: Image, world: World, change: Callable[[Any], R]) -> tuple[R, Executed | None]:
    """Run ``change`` against the image; what it raises leaves nothing changed."""
    transaction = ImageTransaction(image, world)
    try:
        result = change(transaction)
    except BaseException:
        transaction.abandon()
        raise
    return result, transaction.finish()


def wipe(image: Image, world: World) -> Executed:
    """Remove every resource (``Store.reset``); counts as a transaction even when there was none."""

    def remove_all(transaction: ImageTransaction) -> None:
        for table in image.tables.values():
            for record in list(table.rows.values()):
                transaction.remove(record)

    _, executed = execute(image, world, remove_all)
    if executed is None:
        image.revision += 1
        executed = Executed(image.revision, (), (), ())
    return executed
