"""The server process: AWS's APIs, the registry, the store, the reconcilers, the hub that nodes connect to."""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import platform
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from havre.apps.borrowing import Borrowing
from havre.apps.config import FILES, TARGETS, Config, keep_for_good, system_world, token
from havre.apps.endpoints import Endpoints
from havre.apps.http.listeners import Listeners
from havre.apps.metering import Metering
from havre.apps.services import Services
from havre.apps.work import Work, Workers
from havre.control.certificates.authority import Authority
from havre.control.deps import ReconcilerDeps
from havre.control.nodes import NODE
from havre.control.operation import Aws, Service
from havre.control.patient import patient
from havre.control.supervisor import Loop, Supervisor
from havre.control.tasks import Tasks
from havre.core.credentials import SessionTokens
from havre.gateway.app import Gateway
from havre.gateway.ports import Parts
from havre.gateway.throttle import Throttle
from havre.kernel.errors import Permanent
from havre.services import catalogue
from havre.services.cloudtrail.trail import Trail
from havre.services.iam.directory import Directory
from havre.services.iam.root import ensure_root, ensure_secret, load_roots
from havre.store.ports import Store, Subscription
from havre.store.sqlite import SqliteJournal, SqliteRecords, SqliteStore
from havre.wire.models import ModelSource

if TYPE_CHECKING:
    import ssl

    from havre.apps.file_systems import DiskShelf
    from havre.apps.nodes import Nodes
    from havre.apps.registry import Registry
    from havre.control.terminals.sessions import Sessions
    from havre.services.applicationautoscaling import Measures
    from havre.services.kms import Vault
    from havre.services.lambda_ import Facilities
    from havre.services.sqs import Broker

log = logging.getLogger("havre")
_WITH_POLICIES = ("ecr", "elasticfilesystem", "events", "kms", "lambda", "s3", "sns", "sqs")
"""Services whose resources have policies of their own, by the service part of their ARNs."""
FIRST_THE_NODE = 0.5
"""Seconds for which reconcilers wait for a node to be there."""
NODE_PATIENCE = 10.0
"""Seconds after which the server calls itself ready without a node: what needs none works."""


class Server:
    """Everything of the process. What must be there before the first request is made in ``__init__``; the registry, the
    services and the reconcilers are made when they are needed, or right after the start."""

    def __init__(self, config: Config) -> None:
        self.config = config
        state, site = config.state, config.site
        self.world = system_world()
        self.secret = ensure_secret(state)
        ensure_root(state, site.account)
        self.token = token(state / "admin.token")
        self.sessions = SessionTokens(self.secret)
        self.metering = Metering(state, self.world, lambda: self.workers.use("cloudwatch"))
        self.borrowing = Borrowing(state / "borrowed", lambda: self.deps)
        own = {"ecr": self._make_ecr, "ecs": self._make_ecs, "kms": self._make_kms, "lambda": self._make_lambda}
        own |= {"cloudwatch": self.metering.make_cloudwatch, "sqs": self._make_sqs, "sts": self._make_sts}
        self.services = Services({**own, **self.borrowing.makers})
        self.store = SqliteStore.open(state / "store.db", catalogue.kinds(), self.world)
        self.store.pack.adopt(state / "registry" / "pack.db")
        self.journal = SqliteJournal.open(state / "journal.db")
        self.records = SqliteRecords(state / "records.db")
        self.directory = Directory(self.store, load_roots(state), self.sessions)
        self.trail = Trail(self.journal, self.world.now)
        self.endpoints = Endpoints(self)
        self.gateway = Gateway(self._parts())
        self.listeners = Listeners(self.gateway.asgi)
        self.workers = Workers(
            self.store,
            self.world,
            self._work_of,
            catalogue.services_of_kinds(),
            companion="cloudwatch",
            begun=keep_for_good,
        )
        self.ready = False
        self._node_came = asyncio.Event()
        self.tasks = Tasks()
        self.supervisor = Supervisor(self._loops(), self.world)

    @cached_property
    def deps(self) -> ReconcilerDeps:
        recorder = self.metering.recorder
        return ReconcilerDeps(
            self.store, self.journal, self.world, self.config.site, self._aws_for, self._aws_with, recorder
        )

    @cached_property
    def authority(self) -> Authority:
        return Authority(self.config.state, self.config.site.instance)

    def _own_tls(self) -> ssl.SSLContext | None:
        """Of the endpoint, where it is to speak HTTPS as well."""
        site = self.config.site
        if not site.tls:
            return None
        from havre.apps.own_tls import OwnTls

        names = dict.fromkeys(("localhost", "127.0.0.1", *((site.host,) if site.host not in ("0.0.0.0", "::") else ())))
        return OwnTls(self.authority, tuple(names), self.world.now).context

    @cached_property
    def nodes(self) -> Nodes:
        from havre.apps import nodes

        return nodes.Nodes(self.config.state, self.secret, self.deps)

    @cached_property
    def registry(self) -> Registry:
        from havre.apps import registry

        ground = registry.Ground(
            self.config.state, self.config.site, self.store, self.store.pack, self.world, self.secret, self.trail
        )
        return registry.Registry(ground, self.gateway)

    def _make_ecr(self) -> Service:
        from havre.services import ecr

        return ecr.service(self.registry.facilities)

    @cached_property
    def commands(self) -> Sessions:
        """Sessions of ExecuteCommand."""
        from havre.control.terminals.sessions import Sessions

        return Sessions()

    def _make_ecs(self) -> Service:
        from havre.services import ecs

        return ecs.service(self.commands)

    @cached_property
    def functions(self) -> Facilities:
        """What runs functions, and their code."""
        from havre.apps.code_store import DiskCodeStore
        from havre.services import lambda_

        made = lambda_.Facilities(
            functions=self.nodes.functions,
            unlogged=self.nodes.function_lines.reason,
            code=DiskCodeStore(self.config.state / "functions", self.world.now),
            secret=hmac.digest(self.secret, b"function-code", "sha256"),
            architectures=("arm64" if platform.machine() == "aarch64" else "x86_64",),
            records=self.records,
            metrics=self.metering.recorder,
        )
        self.nodes.functions.extended = made.extended
        return made

    @cached_property
    def vault(self) -> Vault:
        from havre.services import kms

        return kms.Vault(hmac.digest(self.secret, b"key-material", "sha256"))

    def _make_kms(self) -> Service:
        from havre.services import kms

        return kms.service(self.vault)

    @cached_property
    def shelf(self) -> DiskShelf:
        from havre.apps.file_systems import DiskShelf

        return DiskShelf(self.config.state / FILES)

    def _measures(self) -> Measures:
        from havre.services.applicationautoscaling import Measures

        return Measures(lambda *where: self.functions.open_invoking(self.store, self.world).invoker.utilization(*where))

    def _make_lambda(self) -> Service:
        from havre.services import lambda_

        return lambda_.service(self.functions)

    @cached_property
    def broker(self) -> Broker:
        from havre.services import sqs

        return sqs.Broker(self.records)

    def _make_sqs(self) -> Service:
        from havre.services import sqs

        return sqs.service(self.broker)

    async def _keep_queues(self) -> None:
        from havre.services import sqs

        await sqs.run(self.broker, self.deps)

    def _make_sts(self) -> Service:
        from havre.services import sts

        return sts.service(self.sessions, self.directory)

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
            resource_policies={name: partial(_resource_policy, name) for name in _WITH_POLICIES},
            resource_owners={"s3": _bucket_owner},
            preflight=self.borrowing.preflight,
            metrics=self.metering.recorder,
            internal=self.endpoints.internal(),
            registry=self.endpoints.registry,
            sockets={"/v1/data-channel/": self.endpoints.data_channel},
            hosts={"execute-api": self.endpoints.http_api, "lambda-url": self.endpoints.function_url},
        )

    async def _serve_targets(self) -> None:
        """For ever: load balancers of this machine ask here for the functions in their target groups."""
        from havre.apps.targets import Doors, serve
        from havre.services.elbv2.functions import FunctionTargets

        doors = Doors(FunctionTargets(self.deps).asgi, lambda: self.endpoints.http_apis.domain)
        await serve(doors.asgi, self.config.state / TARGETS)

    async def _run_services(self) -> None:
        """What services do unasked. The node is let in first: who starts us waits for that."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_THE_NODE):
                await self._node_came.wait()
        first = ["cloudwatch"] if self.metering.there else []
        await self.workers.run([*first, *(("lambda", "sqs") if self.records.shelves("") else ())])

    def _work_of(self, name: str) -> Work:
        package = catalogue.package(name)
        given: dict[str, Callable[[], Any]] = {
            "acm": lambda: self.authority,
            "application-autoscaling": self._measures,
            "cloudwatch": lambda: self.metering.facilities,
            "ecs": lambda: self.nodes.usage,
            "efs": lambda: self.shelf,
            "elbv2": lambda: self.nodes.traffic,
            "kms": lambda: self.vault,
            "lambda": lambda: self.functions,
        }
        more = (given[name](),) if name in given else ()

        def made(what: str) -> list[Any]:
            make = getattr(package, what, None)
            return make(self.deps, *more) if make is not None else []

        own = [Loop("queues", self._keep_queues, essential=False)] if name == "sqs" else []
        return Work(made("reconcilers"), [*made("loops"), *own])

    def _aws_for(self, account: str, region: str, service: str, source: str = "", trace: str = "") -> Aws:
        return patient(self.gateway.as_service(service, account, region, source, trace))

    def _aws_with(self, account: str, region: str, credentials: Mapping[str, Any], trace: str = "") -> Aws:
        """Raises Permanent for credentials that nobody holds."""
        known = self.directory.credential(credentials["AccessKeyId"], credentials["SessionToken"])
        if known is None:
            raise Permanent("The security token included in the request is invalid")
        return patient(self.gateway.local(known.principal, account, region, trace))

    def _loops(self) -> list[Loop]:
        return [
            Loop("node link", lambda: self.nodes.serve(), progress=lambda: self.nodes.hub.heard),
            Loop("functions' link", lambda: self.nodes.serve_functions()),
            Loop("terminals' link", lambda: self.nodes.serve_terminals()),
            Loop("services", self._run_services, progress=self.workers.last),
            Loop("functions behind load balancers", self._serve_targets),
            Loop("audit trail", self.trail.run, progress=lambda: self.trail.progress),
            Loop(
                "registry addresses",
                lambda: self.registry.listen(self.listeners),
                essential=False,
                progress=lambda: self.registry.opened,
            ),
            Loop(
                "registry housekeeping",
                lambda: self.registry.parts.sweeper.run(),
                essential=False,
                progress=lambda: self.registry.parts.sweeper.progress,
            ),
        ]

    async def _await_node(self, changes: Subscription) -> None:
        """Ready once a node can be given work; its absence is told in words and holds nothing up for ever."""
        try:
            async with asyncio.timeout(NODE_PATIENCE):
                while not self.nodes.hub.nodes:
                    await anext(changes)
        except TimeoutError:
            log.warning("no node has connected within %g s", NODE_PATIENCE)
        finally:
            changes.close()
        self.ready = True
        self.config.tell("ready")
        self._node_came.set()

    async def run(self) -> None:
        """Until SIGTERM. Raises OSError when the port cannot be had, LoopFault when an essential loop has ended."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.supervisor.stop)
        site = self.config.site
        await self.listeners.open(site.host, site.port, self._own_tls())
        self.tasks.spawn(self._await_node(self.store.subscribe([NODE.name])), "readiness")
        self.tasks.spawn(self.borrowing.resume(), "borrowed services")
        try:
            await self.supervisor.run()
        finally:
            await self.tasks.close()
            await self.listeners.close()
            await self.endpoints.close()
            await self.borrowing.close()
            await self.gateway.close()
            await self.registry.parts.blobs.close()
            await self.metering.close()
            await self.store.close()
            await self.journal.close()
            await self.records.close()


_PACKAGES = {"elasticfilesystem": "efs"}
"""Services whose ARNs call them otherwise than botocore does."""


def _resource_policy(service: str, store: Store, arn: str) -> str | None:
    found: str | None = catalogue.package(_PACKAGES.get(service, service)).resource_policy(store, arn)
    return found


def _bucket_owner(store: Store, arn: str) -> str:
    from havre.services import s3

    return s3.resource_owner(store, arn)


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
