"""What every store promises, on the one in memory and on SQLite."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from havre.kernel.errors import Conflict, Gone
from havre.kernel.resource import Key
from havre.store.ports import Change, Store, Subscription, Transaction
from tests.contracts.store_kinds import NOTE, THING, Clock, Note, Seen, Thing, names, open_store, put


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncIterator[Store]:
    store = open_store(request.param, tmp_path, clock, feed_limit=50)
    yield store
    await store.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_creates_with_meta(store: Store, clock: Clock) -> None:
    made = await store.transact(lambda t: put(t, "a"))
    assert store.get(THING, "1", "r", "a") == made
    assert (made.meta.version, made.meta.created, made.meta.updated, made.meta.deleting) == (
        1,
        clock.now,
        clock.now,
        None,
    )
    assert made.meta.arn == "arn:a"
    assert made.key == Key("test.thing", "1", "r", "a")
    assert store.revision == 1


async def test_a_taken_name_is_a_conflict(store: Store) -> None:
    await store.transact(lambda t: put(t, "a", Thing("blue")))
    with pytest.raises(Conflict):
        await store.transact(lambda t: put(t, "a"))
    found = store.get(THING, "1", "r", "a")
    assert found is not None and found.spec.colour == "blue"


async def test_update_replaces_what_is_given(store: Store, clock: Clock) -> None:
    first = await store.transact(lambda t: put(t, "a", Thing("blue")))
    clock.now += 5
    second = await store.transact(lambda t: t.update(first, status=Seen("DONE")))
    third = await store.transact(lambda t: t.update(second, deleting=7.0))
    fourth = await store.transact(lambda t: t.update(third, spec=Thing("green")))
    assert (second.spec, second.status) == (Thing("blue"), Seen("DONE"))
    assert (second.meta.created, second.meta.updated) == (clock.now - 5, clock.now)
    assert (fourth.meta.deleting, fourth.spec, fourth.status) == (7.0, Thing("green"), Seen("DONE"))
    assert [r.meta.version for r in (first, second, third, fourth)] == [1, 2, 3, 4]


async def test_update_of_an_old_version_is_a_conflict(store: Store) -> None:
    first = await store.transact(lambda t: put(t, "a"))
    await store.transact(lambda t: t.update(first, spec=Thing("blue")))
    with pytest.raises(Conflict):
        await store.transact(lambda t: t.update(first, spec=Thing("green")))
    with pytest.raises(Conflict):
        await store.transact(lambda t: t.remove(first))
    assert names(store.find(THING, "colour", "1/r/blue")) == ["a"]


async def test_an_old_version_within_one_transaction_is_a_conflict(store: Store) -> None:
    first = await store.transact(lambda t: put(t, "a"))

    def twice(transaction: Transaction) -> None:
        second = transaction.update(first, spec=Thing("blue"))
        transaction.update(second, spec=Thing("green"))
        transaction.update(second, spec=Thing("yellow"))

    with pytest.raises(Conflict):
        await store.transact(twice)
    assert store.get(THING, "1", "r", "a") == first


async def test_update_of_what_is_gone(store: Store) -> None:
    first = await store.transact(lambda t: put(t, "a"))
    await store.transact(lambda t: t.remove(first))
    await store.transact(lambda t: t.remove(first))
    with pytest.raises(Gone):
        await store.transact(lambda t: t.update(first, spec=Thing()))
    await store.transact(lambda t: put(t, "a"))
    with pytest.raises(Conflict):
        await store.transact(lambda t: t.update(first, spec=Thing()))


async def test_what_a_transaction_raises_leaves_nothing_changed(store: Store) -> None:
    first = await store.transact(lambda t: put(t, "a", Thing("blue", ("x", "y"))))
    subscription = store.subscribe()

    def fail(transaction: Transaction) -> None:
        transaction.update(first, spec=Thing("green", ("y", "z")))
        put(transaction, "b", Thing("blue"))
        transaction.emit("topic", b"lost")
        assert names(transaction.find(THING, "tag", "z")) == ["a"]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await store.transact(fail)
    assert names(store.list(THING)) == ["a"]
    assert names(store.find(THING, "colour", "1/r/blue")) == ["a"]
    assert names(store.find(THING, "tag", "x")) == ["a"]
    assert store.count(THING, "tag", "z") == 0
    assert store.revision == 1
    assert await store.outbox("topic") == []
    second = await store.transact(lambda t: put(t, "c"))
    assert await _next(subscription) == [Change(2, second.key, None, second)]


async def test_a_transaction_reads_its_own_writes(store: Store) -> None:
    def change(transaction: Transaction) -> None:
        made = put(transaction, "b", Thing(tags=("x",)))
        put(transaction, "a", Thing(tags=("x",)))
        assert transaction.get(THING, "1", "r", "b") is made
        assert names(transaction.list(THING)) == ["a", "b"]
        assert names(transaction.find(THING, "tag", "x")) == ["a", "b"]
        transaction.remove(made)
        assert transaction.count(THING, "tag", "x") == 1
        assert transaction.get(THING, "1", "r", "b") is None

    await store.transact(change)
    assert names(store.list(THING)) == ["a"]


async def test_lists_in_order_and_by_scope(store: Store) -> None:
    def change(transaction: Transaction) -> None:
        for account, region, name in [
            ("2", "r", "a"),
            ("1", "s", "c"),
            ("1", "r", "b"),
            ("1", "r", "a"),
            ("11", "r", "d"),
        ]:
            put(transaction, name, account=account, region=region)

    await store.transact(change)
    assert [(r.meta.account, r.meta.region, r.meta.name) for r in store.list(THING)] == [
        ("1", "r", "a"),
        ("1", "r", "b"),
        ("1", "s", "c"),
        ("11", "r", "d"),
        ("2", "r", "a"),
    ]
    assert names(store.list(THING, "1")) == ["a", "b", "c"]
    assert names(store.list(THING, "1", "r")) == ["a", "b"]
    assert names(store.list(THING, region="r")) == ["a", "b", "d", "a"]
    assert store.list(THING, "3") == []
    assert store.list(NOTE) == []


async def test_indexes_follow(store: Store) -> None:
    one = await store.transact(lambda t: put(t, "b", Thing("blue", ("x", "y"))))
    await store.transact(lambda t: put(t, "a", Thing("blue", ("y",))))
    assert names(store.find(THING, "colour", "1/r/blue")) == ["a", "b"]
    assert names(store.find(THING, "tag", "y")) == ["a", "b"]
    assert store.first(THING, "tag", "y") is store.find(THING, "tag", "y")[0] and store.first(THING, "tag", "z") is None
    assert store.count(THING, "done", "yes") == 0
    one = await store.transact(lambda t: t.update(one, spec=Thing("red", ("x", "z")), status=Seen("DONE")))
    assert names(store.find(THING, "colour", "1/r/blue")) == ["a"]
    assert [names(store.find(THING, "tag", v)) for v in "xyz"] == [["b"], ["a"], ["b"]]
    assert store.count(THING, "done", "yes") == 1
    await store.transact(lambda t: t.remove(one))
    assert [store.count(THING, "tag", v) for v in "xyz"] == [0, 1, 0]
    assert store.first(THING, "tag", "x") is None
    for read in (store.find, store.first, store.count):
        with pytest.raises(KeyError):
            read(THING, "shape", "round")


async def test_subscribers_see_changes_in_order(store: Store) -> None:
    everything, notes = store.subscribe(), store.subscribe([NOTE.name])
    a = await store.transact(lambda t: put(t, "a"))
    b = await store.transact(lambda t: t.update(a, status=Seen("DONE")))
    note = await store.transact(
        lambda t: t.create(NOTE, account="1", region="", name="n", arn="arn:n", spec=Note("hi"), status=Seen())
    )
    await store.transact(lambda t: t.remove(b))
    assert await _next(everything) == [
        Change(1, a.key, None, a),
        Change(2, a.key, a, b),
        Change(3, note.key, None, note),
        Change(4, a.key, b, None),
    ]
    assert await _next(notes) == [Change(3, note.key, None, note)]


async def test_one_change_a_key_and_transaction(store: Store) -> None:
    subscription = store.subscribe()

    def change(transaction: Transaction) -> None:
        transaction.remove(put(transaction, "never"))
        transaction.update(put(transaction, "a"), spec=Thing("blue"))

    await store.transact(change)
    (seen,) = await _next(subscription)
    assert seen.old is None and seen.new is not None and seen.new.spec.colour == "blue"


async def test_a_closed_subscription_ends(store: Store) -> None:
    subscription = store.subscribe()
    waiting = asyncio.create_task(_next(subscription))
    await asyncio.sleep(0)
    subscription.close()
    with pytest.raises(StopAsyncIteration):
        await waiting


async def test_changes_since(store: Store) -> None:
    for name in "abc":
        await store.transact(lambda t, name=name: put(t, name))
    await store.transact(lambda t: [put(t, "d"), put(t, "e")])
    assert await store.changes_since(1) == [
        (r, Key("test.thing", "1", "r", n)) for r, n in zip((2, 3, 4, 4), "bcde", strict=True)
    ]
    assert [r for r, _ in await store.changes_since(0, limit=2) or ()] == [1, 2]
    assert [r for r, _ in await store.changes_since(2, limit=2) or ()] == [3, 4, 4]
    assert await store.changes_since(4) == []


async def test_the_feed_is_bounded(store: Store) -> None:
    for n in range(80):
        await store.transact(lambda t, n=n: put(t, f"n{n}"))
    assert await store.changes_since(0) is None
    recent = await store.changes_since(60)
    assert recent is not None and [r for r, _ in recent] == list(range(61, 81))


async def test_outbox(store: Store) -> None:
    def emit(transaction: Transaction) -> None:
        put(transaction, f"n{store.revision}")
        transaction.emit("mail", b"one")
        transaction.emit("mail", b"two")
        transaction.emit("audit", b"three")

    waiting = asyncio.create_task(store.emitted("mail"))
    await store.transact(emit)
    assert await waiting > 0
    mail = await store.outbox("mail")
    assert [m.payload for m in mail] == [b"one", b"two"]
    assert mail[0].id < mail[1].id == await store.emitted("mail")
    await store.delivered("mail", mail[0].id)
    assert [m.payload for m in await store.outbox("mail")] == [b"two"]
    assert [m.payload for m in await store.outbox("audit", limit=1)] == [b"three"]
    await store.delivered("mail", mail[1].id)
    assert await store.outbox("mail") == []
    again = asyncio.create_task(store.emitted("mail", mail[1].id))
    await asyncio.sleep(0)
    assert not again.done()
    await store.transact(emit)
    assert await again > mail[1].id


async def test_a_transaction_may_only_emit(store: Store) -> None:
    await store.transact(lambda t: t.emit("mail", b"one"))
    assert [m.payload for m in await store.outbox("mail")] == [b"one"]


async def test_reset(store: Store) -> None:
    a = await store.transact(lambda t: put(t, "a", Thing(tags=("x",))))
    await store.transact(lambda t: t.emit("mail", b"one"))
    subscription = store.subscribe()
    before = store.revision
    await store.reset()
    assert store.list(THING) == [] and store.count(THING, "tag", "x") == 0
    assert await store.outbox("mail") == []
    assert await store.changes_since(before - 1) is None
    assert store.revision > before
    assert [(c.old, c.new) for c in await _next(subscription)] == [(a, None)]
    b = await store.transact(lambda t: put(t, "a"))
    assert b.meta.version == store.revision
    assert await store.changes_since(b.meta.version - 1) == [(b.meta.version, b.key)]


async def test_settled(store: Store) -> None:
    await store.settled()
    writing = asyncio.create_task(store.transact(lambda t: put(t, "a")))
    await asyncio.sleep(0)
    await store.settled()
    assert await writing is store.get(THING, "1", "r", "a")


async def test_many_writers_at_once(store: Store) -> None:
    await store.transact(lambda t: put(t, "counter", Thing(size=0)))

    def count(transaction: Transaction) -> float:
        seen = transaction.get(THING, "1", "r", "counter")
        assert seen is not None
        return transaction.update(seen, spec=Thing(size=seen.spec.size + 1)).spec.size

    results = await asyncio.gather(*(store.transact(count) for _ in range(100)))
    assert sorted(results) == list(range(1, 101))


async def test_a_cancelled_caller_disturbs_nobody(store: Store) -> None:
    writers = [asyncio.create_task(store.transact(lambda t, n=n: put(t, f"n{n}"))) for n in range(5)]
    await asyncio.sleep(0)
    settling = asyncio.create_task(store.settled())
    await asyncio.sleep(0)
    writers[4].cancel()
    await asyncio.wait(writers)
    await settling
    assert len(store.list(THING)) == 5


async def _next(subscription: Subscription) -> list[Change]:
    return list(await subscription.__anext__())
