"""Kinds and stores for the suites of this folder."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import msgspec

from havre.kernel.resource import Kind, Resource, scoped
from havre.kernel.world import World
from havre.store.memory import MemoryJournal, MemoryStore
from havre.store.ports import Journal, Store, Transaction
from havre.store.sqlite import SqliteJournal, SqliteStore


class Thing(msgspec.Struct, frozen=True):
    colour: str = "red"
    tags: tuple[str, ...] = ()
    size: float = 1


class Seen(msgspec.Struct, frozen=True):
    phase: str = "NEW"


class Note(msgspec.Struct, frozen=True):
    text: str


THING: Kind[Thing, Seen] = Kind(
    "test.thing",
    Thing,
    Seen,
    {
        "colour": lambda r: scoped(r.meta.account, r.meta.region, r.spec.colour),
        "tag": lambda r: r.spec.tags,
        "done": lambda r: "yes" if r.status.phase == "DONE" else None,
    },
)
NOTE: Kind[Note, Seen] = Kind("test.note", Note, Seen)
KINDS = (THING, NOTE)


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def world(clock: Clock | None = None) -> World:
    return World(clock or Clock(), Random(1))


def open_store(name: str, folder: Path, clock: Clock | None = None, **options: Any) -> Store:
    if name == "memory":
        return MemoryStore(KINDS, world(clock), **options)
    return SqliteStore.open(folder / "store.db", KINDS, world(clock), **options)


def open_journal(name: str, folder: Path) -> Journal:
    return MemoryJournal() if name == "memory" else SqliteJournal.open(folder / "journal.db")


def put(
    transaction: Transaction, name: str, spec: Thing | None = None, account: str = "1", region: str = "r"
) -> Resource[Thing, Seen]:
    return transaction.create(
        THING, account=account, region=region, name=name, arn=f"arn:{name}", spec=spec or Thing(), status=Seen()
    )


def names(found: Any) -> list[str]:
    return [r.meta.name for r in found]
