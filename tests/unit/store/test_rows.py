"""Which row of the file is whose: the image in memory knows, and has to be right whatever the disk refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import apsw
import pytest
from tests.contracts.store_kinds import KINDS, NOTE, THING, Clock, Note, Seen, Thing, open_store, put

from havre.kernel.errors import Permanent, Temporary
from havre.kernel.resource import Resource
from havre.store.ports import Transaction
from havre.store.sqlite import SqliteStore
from havre.store.sqlite.committer import Committer
from havre.store.sqlite.database import migrate
from havre.store.sqlite.store import MIGRATIONS


def _open(path: Path) -> SqliteStore:
    made = open_store("sqlite", path, Clock())
    assert isinstance(made, SqliteStore)
    return made


def _all(store: SqliteStore) -> list[Sequence[Resource[Any, Any]]]:
    return [store.list(kind) for kind in KINDS]


def _rows(path: Path) -> list[tuple[int, str]]:
    with apsw.Connection(str(path / "store.db")) as connection:
        found: Any = connection.execute("SELECT number, kind FROM resource ORDER BY number").fetchall()
    return [tuple(row) for row in found]


def _change(chance: Random, transaction: Transaction) -> None:
    for _ in range(chance.randrange(1, 4)):
        name = f"n{chance.randrange(6)}"
        found = transaction.get(THING, "1", "r", name)
        if found is None:
            put(transaction, name, Thing(str(chance.random())))
        elif chance.random() < 0.5:
            transaction.remove(found)
        else:
            transaction.update(found, spec=Thing(str(chance.random())))


async def _turn(store: SqliteStore, chance: Random, patch: pytest.MonkeyPatch) -> None:
    """Some transactions in one commit or two, which the disk refuses now and then."""
    refused = chance.choice(["", "", "_statements", "_commit"])

    def refuse(*_: object) -> None:
        raise OSError("no space left")

    with patch.context() as with_fault:
        if refused:
            with_fault.setattr(Committer, refused, refuse)
        work = [asyncio.ensure_future(store.transact(lambda t: _change(chance, t))) for _ in range(chance.randrange(5))]
        results = await asyncio.gather(*work, return_exceptions=True)
        assert all(isinstance(each, Temporary) if refused else each is None for each in results)


@pytest.mark.parametrize("seed", range(6))
async def test_the_file_has_what_the_image_has(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = Random(seed)
    for _ in range(6):
        store = _open(tmp_path)
        for _ in range(15):
            await _turn(store, chance, monkeypatch)
        before = _all(store)
        await store.close()
        assert len(_rows(tmp_path)) == sum(map(len, before)), "a row for each, and none besides"
        again = _open(tmp_path)
        assert _all(again) == before
        await again.close()


async def test_removed_and_made_anew_within_a_transaction(tmp_path: Path) -> None:
    store = _open(tmp_path)
    first = await store.transact(lambda t: put(t, "a"))

    def anew(transaction: Transaction) -> None:
        transaction.remove(first)
        put(transaction, "a", Thing("blue"))

    await store.transact(anew)
    await store.close()
    assert len(_rows(tmp_path)) == 1
    again = _open(tmp_path)
    assert [r.spec.colour for r in again.list(THING)] == ["blue"]
    await again.close()


FORMER = "INSERT INTO resource VALUES (?,?,?,?,?)"


async def test_rows_of_before_there_were_numbers(tmp_path: Path) -> None:
    """They lay under their keys, and their records tell no number."""
    store = _open(tmp_path)
    made = [await store.transact(lambda t, n=n: put(t, n, Thing(n))) for n in ("c", "a", "b")]
    await store.close()
    with apsw.Connection(str(tmp_path / "store.db")) as connection:
        bodies: Any = connection.execute("SELECT body FROM resource ORDER BY number").fetchall()
    (tmp_path / "old").mkdir()
    old = apsw.Connection(str(tmp_path / "old" / "store.db"))
    migrate(old, MIGRATIONS[:2])
    for record, (body,) in zip(made, bodies, strict=True):
        former = body.replace(b"\xa6number" + bytes([record.meta.number]), b"\xa6unused\x00")
        assert former != body
        old.execute(FORMER, (*record.key, former))
    old.execute(FORMER, ("another.kind", "1", "r", "x", b"of another version"))
    old.close()
    store = _open(tmp_path / "old")
    assert [r.spec.colour for r in store.list(THING)] == ["a", "b", "c"]
    found = store.get(THING, "1", "r", "b")
    assert found is not None
    await store.transact(lambda t: t.update(found, spec=Thing("blue")))
    await store.transact(lambda t: t.remove(store.list(THING)[0]))
    await store.transact(lambda t: put(t, "d", Thing("d")))
    await store.close()
    again = _open(tmp_path / "old")
    assert [r.spec.colour for r in again.list(THING)] == ["blue", "c", "d"]
    await again.close()
    assert [kind for _, kind in _rows(tmp_path / "old")].count("another.kind") == 1


async def test_numbers_of_kinds_that_are_not_known_are_not_given_again(tmp_path: Path) -> None:
    store = _open(tmp_path)
    await store.transact(
        lambda t: t.create(NOTE, account="1", region="r", name="n", arn="arn:n", spec=Note("x"), status=Seen())
    )
    await store.close()
    ((number, _),) = _rows(tmp_path)
    with apsw.Connection(str(tmp_path / "store.db")) as connection:
        connection.execute("UPDATE resource SET kind = 'another.kind'")
    again = _open(tmp_path)
    made = await again.transact(lambda t: put(t, "a"))
    assert made.meta.number > number
    await again.close()
    assert len(_rows(tmp_path)) == 2


async def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    store = _open(tmp_path)
    await store.transact(lambda t: put(t, "a"))
    await store.close()
    with apsw.Connection(str(tmp_path / "store.db")) as connection:
        connection.execute("UPDATE resource SET body = x'c1'")
    with pytest.raises(Permanent, match=r"the stored test\.thing in row 1 cannot be read"):
        _open(tmp_path)
