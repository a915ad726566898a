"""The registry alone, as a process: ``python -m tests.contracts.registry_server PORT STATE REPOSITORY...``.

Everybody who brings the password that it prints may do everything. The store is SQLite, as in the real server.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

from havre.control.images import KINDS, REPOSITORY, Place, RepositorySpec, RepositoryStatus
from havre.control.operation import Principal, Site
from havre.core.images.passwords import Passwords, Ticket, encode_principal
from havre.kernel.world import World
from havre.store.ports import Store, Transaction
from tests.ports import free_port

SECRET = b"tests only, tests only, tests only"


async def everything(principal: Principal, action: str, place: Place, source_ip: str) -> str:
    return ""


async def create(store: Store, place: Place, spec: RepositorySpec = RepositorySpec()) -> None:
    def change(transaction: Transaction) -> None:
        if transaction.get(REPOSITORY, *place) is None:
            transaction.create(
                REPOSITORY,
                account=place.account,
                region=place.region,
                name=place.repository,
                arn=place.arn,
                spec=spec,
                status=RepositoryStatus(),
            )

    await store.transact(change)


def password(now: float, account: str = "000000000000") -> str:
    principal = Principal("IAMUser", account, f"arn:aws:iam::{account}:user/test", "AIDATEST", name="test")
    return Passwords(SECRET).issue(Ticket(encode_principal(principal), account, int(now), int(now) + 3600))


async def serve(port: int, state: Path, repositories: Sequence[str]) -> None:
    from havre.apps.http.listeners import Listeners
    from havre.dataplanes.registry import Ground, assemble
    from havre.store.sqlite import SqliteStore

    world, site = World(time.time, Random()), Site(port=port)
    state.mkdir(parents=True, exist_ok=True)
    store = SqliteStore.open(state / "store.db", KINDS, world)
    for name in repositories:
        await create(store, Place(site.account, site.region, name))
    registry = assemble(Ground(state / "registry", store, store.pack, world, site, SECRET), everything)
    listeners = Listeners(registry.app)
    await listeners.open("127.0.0.1", port)
    print("ready", flush=True)
    await asyncio.Event().wait()


class Process:
    """The server as a child of the test."""

    def __init__(self, port: int, state: Path, repositories: Sequence[str]) -> None:
        self.port = port
        self.address = f"127.0.0.1:{port}"
        self.password = password(time.time())
        command = [sys.executable, "-m", "tests.contracts.registry_server", str(port), str(state), *repositories]
        root = Path(__file__).resolve().parents[2]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root, env={**os.environ})
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextlib.contextmanager
def running(state: Path, repositories: Sequence[str]) -> Iterator[Process]:
    process = Process(free_port(), state, repositories)
    try:
        yield process
    finally:
        process.kill()


if __name__ == "__main__":
    import uvloop

    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
