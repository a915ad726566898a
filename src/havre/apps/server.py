"""The server process: AWS's APIs, the registry, the store, the reconcilers, the hub that nodes connect to."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from havre.apps.config import Config, system_world, token
from havre.apps.http.listeners import Listeners
from havre.apps.internal import Page
from havre.apps.status import Status
from havre.control.deps import ReconcilerDeps
from havre.control.nodes import KINDS as NODE_KINDS
from havre.control.operation import Service
from havre.control.runner import Runner
from havre.core.credentials import SessionTokens
from havre.gateway.app import Gateway
from havre.gateway.ports import Asgi, Parts
from havre.gateway.throttle import Throttle
from havre.kernel.resource import Kind
from havre.services import catalogue
from havre.services.cloudtrail.trail import Trail
from havre.services.iam.directory import Directory
from havre.services.iam.root import ensure_root, ensure_secret, load_roots
from havre.store.sqlite import SqliteJournal, SqliteStore
from havre.wire.models import ModelSource

log = logging.getLogger("havre")


class Server:
    """Everything of the process, made in ``__init__``, opened in ``run``."""

    def __init__(self, config: Config) -> None:
        self.config = config
        state, site = config.state, config.site
        self.world = system_world()
        self.secret = ensure_secret(state)
        ensure_root(state, site.account)
        self.token = token(state / "admin.token")
        self.services: Mapping[str, Service] = {name: catalogue.load(name) for name in catalogue.NAMES}
        kinds: list[Kind[Any, Any]] = [*NODE_KINDS, *(k for s in self.services.values() for k in s.kinds)]
        self.store = SqliteStore.open(state / "store.db", kinds, self.world)
        self.journal = SqliteJournal.open(state / "journal.db")
        self.directory = Directory(self.store, load_roots(state), SessionTokens(self.secret))
        self.trail = Trail(self.journal, self.world.now)
        self.gateway = Gateway(self._parts())
        self.runner = Runner(self._reconcilers(), self.store, self.world)
        self.listeners = Listeners(self.gateway.asgi)
        self.stopping = asyncio.Event()

    def _parts(self) -> Parts:
        return Parts(
            site=self.config.site,
            world=self.world,
            store=self.store,
            journal=self.journal,
            models=ModelSource(cache_directory()),
            services=self.services,
            identities=self.directory,
            policies=self.directory,
            trail=self.trail,
            throttle=Throttle(self.world.now),
            internal=self._internal(),
        )

    def _internal(self) -> dict[str, Asgi]:
        status = Status(self)
        pages: dict[str, Asgi] = {
            "/_havre/health": Page(status.health),
            "/_havre/status": Page(status.status, token=self.token),
            "/_havre/explain": Page(status.explain, token=self.token),
        }
        if self.config.site.auth == "open":
            pages["/_havre/reset"] = Page(status.reset, method="POST")
        return pages

    def _reconcilers(self) -> list[Any]:
        deps = ReconcilerDeps(self.store, self.journal, self.world, self.config.site, self._aws_for)
        found: list[Any] = []
        for name in catalogue.NAMES:
            make = getattr(catalogue.package(name), "reconcilers", None)
            found += make(deps) if make is not None else []
        return found

    def _aws_for(self, account: str, region: str, service: str) -> Any:
        return self.gateway.as_service(service, account, region)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        site = self.config.site
        await self.listeners.open(site.host, site.port)
        async with asyncio.TaskGroup() as group:
            loops = [group.create_task(self.runner.run()), group.create_task(self.trail.run())]
            self.config.tell("ready")
            await self.stopping.wait()
            for each in loops:
                each.cancel()
        await self.close()

    async def close(self) -> None:
        await self.listeners.close()
        await self.gateway.close()
        await self.store.close()
        await self.journal.close()


def cache_directory() -> Path:
    """For what can be made again at any time: shared by all instances of this user."""
    if os.geteuid() == 0:
        return Path("/var/cache/havre")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "havre"


def main() -> None:
    os.umask(0o077)
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s server %(levelname)s %(name)s: %(message)s"
    )
    config = Config.from_environment()
    import uvloop

    async def serve() -> None:
        try:
            server = Server(config)
            await server.run()
        except OSError as error:
            config.tell(f"cannot listen on {config.site.host}:{config.site.port}: {error.strerror or error}")
            raise SystemExit(1) from None

    uvloop.run(serve())
