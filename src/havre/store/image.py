"""The image in memory that every adapter reads from: tables with indexes, and transactions with an undo log."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Iterable, Sequence
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
_FEW = 16
"""With fewer than one in so many unsorted, each is put in its place; with more, all are sorted."""


class Places(list[Place]):
    """Sorted when somebody wants it so: ``add`` leaves the last ``unsorted`` as they come, and a reader puts them in their
    places."""

    __slots__ = ("unsorted",)

    def __init__(self, sorted: Iterable[Place] = ()) -> None:
        super().__init__(sorted)
        self.unsorted = 0

    def add(self, place: Place) -> None:
        self.append(place)
        self.unsorted += 1

    def ordered(self) -> Places:
        count = self.unsorted
        if count:
            self.unsorted = 0
            if count * _FEW > len(self):
                self.sort()
            else:
                come = self[-count:]
                del self[-count:]
                for place in come:
                    insort(self, place)
        return self

    def leave(self, place: Place) -> None:
        del self[bisect_left(self.ordered(), place)]


Bucket = dict[str, Places]
"""Value of an index → what is found by it."""


class Table:
    """All resources of one kind. ``order`` has all places, ``buckets`` those of each value of each index."""

    __slots__ = ("buckets", "indexes", "kind", "order", "rows")

    def __init__(self, kind: Kind[Any, Any]) -> None:
        self.kind = kind
        self.rows: dict[Place, Record] = {}
        self.order = Places()
        self.buckets: dict[str, Bucket] = {name: {} for name in kind.indexes}
        self.indexes: tuple[tuple[Bucket, Index], ...] = tuple(
            [(self.buckets[name], function) for name, function in kind.indexes.items()]
        )

    def put(self, place: Place, new: Record | None) -> Record | None:
        """Insert, replace or (None) remove. Gives what was there. A failing index function leaves nothing changed."""
        old = self.rows.get(place)
        if old is None:
            if new is not None:
                self._insert(place, new)
        elif new is None:
            self._remove(place, old)
        else:
            self._replace(place, old, new)
        return old

    def _insert(self, place: Place, new: Record) -> None:
        come = [(bucket, function(new)) for bucket, function in self.indexes]
        self.rows[place] = new
        self.order.add(place)
        for bucket, values in come:
            for value in _values(values):
                _enter(bucket, value, place)

    def _remove(self, place: Place, old: Record) -> None:
        gone = [(bucket, function(old)) for bucket, function in self.indexes]
        del self.rows[place]
        self.order.leave(place)
        for bucket, values in gone:
            for value in _values(values):
                _leave(bucket, value, place)

    def _replace(self, place: Place, old: Record, new: Record) -> None:
        moves = [(bucket, function(old), function(new)) for bucket, function in self.indexes]
        self.rows[place] = new
        for bucket, before, after in moves:
            if before != after:
                gone, come = _values(before), _values(after)
                for value in gone:
                    if value not in come:
                        _leave(bucket, value, place)
                for value in come:
                    if value not in gone:
                        _enter(bucket, value, place)

    def load(self, rows: Sequence[tuple[Place, Record]]) -> None:
        """Fill an empty table with rows that come in the order of their places."""
        self.rows = dict(rows)
        self.order = Places([place for place, _ in rows])
        for bucket, function in self.indexes:
            for place, record in rows:
                for value in _values(function(record)):
                    places = bucket.get(value)
                    if places is None:
                        bucket[value] = Places((place,))
                    else:
                        places.append(place)


def _values(found: str | tuple[str, ...] | None) -> Collection[str]:
    """Each once."""
    if isinstance(found, str):
        return (found,)
    if not found:
        return ()
    return found if len(found) == 1 else dict.fromkeys(found)


def _enter(bucket: Bucket, value: str, place: Place) -> None:
    places = bucket.get(value)
    if places is None:
        bucket[value] = Places((place,))
    else:
        places.add(place)


def _leave(bucket: Bucket, value: str, place: Place) -> None:
    places = bucket[value]
    if len(places) == 1:
        del bucket[value]
    else:
        places.leave(place)


class Image:
    """Everything that is stored, as of the last transaction that ran. Reading it is what Reader promises."""

    def __init__(self, kinds: Iterable[Kind[Any, Any]]) -> None:
        self.revision = 0
        self.number = 0
        """The last that was given to a resource."""
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
        rows, order = table.rows, table.order.ordered()
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
        places = table.buckets[index].get(value)
        if places is None:
            return []
        rows = table.rows
        return [rows[p] for p in places.ordered()]

    def first(self, kind: Kind[S, T], index: str, value: str) -> Resource[S, T] | None:
        table = self.tables[kind.name]
        places = table.buckets[index].get(value)
        return table.rows[places.ordered()[0]] if places is not None else None

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
        place = account, region, name
        if place in self._image.tables[kind.name].rows:
            raise Conflict(f"{kind.name} {name} exists already")
        now = self._time()
        self._image.number += 1
        meta = Meta(arn, account, region, name, self._version, now, now, None, self._image.number)
        made: Resource[S, T] = Resource(kind.name, meta, spec, status)
        self._put(kind.name, place, made)
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
            old.number,
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
