"""The store beside etcd 3.4: writes that are durable when they are acknowledged, by 32 writers, and reads by key.

Havre's store lives in the process that uses it, and that is how it is measured; etcd's writers each have a connection of
their own, as separate clients have, and a client that costs less than its usual ones.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random

import msgspec
import uvloop

from benchmarks._etcd import Etcd, etcd
from benchmarks._harness import Promise, finish, rounds
from havre.kernel.resource import Kind, NoStatus
from havre.kernel.world import World
from havre.store.sqlite import SqliteStore

CLIENTS = 32
SECONDS = 1.5
KEYS = 10_000
VALUE = "v" * 800
"""About what a task or a service takes."""


class Spec(msgspec.Struct, frozen=True):
    text: str
    number: int


KIND: Kind[Spec, NoStatus] = Kind("bench.thing", Spec, NoStatus)
Work = Callable[[int], Awaitable[object]]


async def _rate(work: Sequence[Work]) -> float:
    """Calls a second, of all together; each gets a key's number each time."""
    ends, done = time.perf_counter() + SECONDS, 0

    async def one(each: Work) -> None:
        nonlocal done
        while time.perf_counter() < ends:
            await each(random.randrange(KEYS))
            done += 1

    began = time.perf_counter()
    await asyncio.gather(*map(one, work))
    return done / (time.perf_counter() - began)


class Ours:
    def __init__(self, folder: Path) -> None:
        self.store = SqliteStore.open(folder / "store.db", [KIND], World(time.time, Random()))
        self.number = 0

    async def fill(self) -> None:
        async def one(n: int) -> None:
            await self.store.transact(
                lambda change: change.create(
                    KIND,
                    account="000000000000",
                    region="us-east-1",
                    name=f"thing-{n}",
                    arn=f"arn:aws:bench:::thing-{n}",
                    spec=Spec(VALUE, 0),
                    status=NoStatus(),
                )
            )

        for start in range(0, KEYS, 500):
            await asyncio.gather(*(one(n) for n in range(start, start + 500)))

    async def write(self, n: int) -> None:
        self.number += 1
        spec = Spec(VALUE, self.number)

        def change(transaction: object) -> None:
            seen = transaction.get(KIND, "000000000000", "us-east-1", f"thing-{n}")  # type: ignore[attr-defined]
            transaction.update(seen, spec=spec)  # type: ignore[attr-defined]

        await self.store.transact(change)

    def reads(self) -> float:
        """Reads need no await: a second."""
        get, done = self.store.get, 0
        names = [f"thing-{n}" for n in random.sample(range(KEYS), 1000)]
        began = time.perf_counter()
        while time.perf_counter() - began < SECONDS:
            for name in names:
                found = get(KIND, "000000000000", "us-east-1", name)
                assert found is not None
            done += len(names)
        return done / (time.perf_counter() - began)


async def _fill_etcd(client: Etcd) -> None:
    for start in range(0, KEYS, 500):
        await asyncio.gather(*(client.put(f"thing-{n}".encode(), VALUE.encode()) for n in range(start, start + 500)))


async def _put(client: Etcd, n: int) -> None:
    await client.put(f"thing-{n}".encode(), VALUE.encode())


async def _get(client: Etcd, n: int) -> None:
    assert len(await client.get(f"thing-{n}".encode())) > len(VALUE)


async def measure(port: int, folder: Path, writes: Promise, reads: Promise) -> None:
    ours, theirs = Ours(folder), [await Etcd.connect(port) for _ in range(CLIENTS)]
    await ours.fill()
    await _fill_etcd(theirs[0])
    puts = [partial(_put, client) for client in theirs]
    gets = [partial(_get, client) for client in theirs]
    writers = [ours.write] * CLIENTS
    await _rate(writers)
    await _rate(puts)
    for n in range(rounds(5)):
        if n % 2:
            peer, mine = await _rate(puts), await _rate(writers)
        else:
            mine, peer = await _rate(writers), await _rate(puts)
        writes.add(mine, peer)
        reads.add(ours.reads(), await _rate(gets))
    await ours.store.close()


def main() -> None:
    writes = Promise("durable store writes, 32 writers", "writes/s", ">= 2", "etcd 3.4")
    reads = Promise("store reads by key", "reads/s", ">= 20", "etcd 3.4")
    with etcd() as port, tempfile.TemporaryDirectory(prefix="havre-bench-store-") as folder:
        uvloop.run(measure(port, Path(folder), writes, reads))
    finish(writes, reads)


if __name__ == "__main__":
    sys.exit(main())
