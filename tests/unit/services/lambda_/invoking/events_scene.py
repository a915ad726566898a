"""What tests of the event queue share: one process after another on the same store and records, in virtual time."""

from __future__ import annotations

import asyncio
import json
from random import Random
from typing import Any

from tests.unit.services.lambda_.invoking.invoking_fakes import ACCOUNT, REGION, FakeFunctions, make_function
from tests.unit.services.metrics_fakes import CountedMetrics

from havre.control.deps import ReconcilerDeps
from havre.control.operation import Site
from havre.kernel.function import Function, Invocation, Outcome
from havre.kernel.resource import NoStatus
from havre.kernel.world import World
from havre.services.lambda_.invoking.assembly import Invoking
from havre.services.lambda_.invoking.destinations import Destinations
from havre.services.lambda_.invoking.events import Where
from havre.services.lambda_.resources import EVENT_INVOKE, KINDS, EventInvokeSpec, qualified
from havre.store.memory import MemoryRecords, MemoryStore

QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:told"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:told"
BUS = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/told"
FAILURE = Outcome(b'{"errorMessage":"no"}', "Unhandled")
START = 1_700_000_000.0


class Scene:
    """One process after another on the same store and records."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.world = World(lambda: START + self.loop.time(), Random(3))
        self.store = MemoryStore(KINDS, self.world)
        self.records = MemoryRecords()
        self.functions = FakeFunctions()
        self.metrics = CountedMetrics()
        self.calls: list[tuple[str, str, dict[str, Any]]] = []
        self.refuse: dict[str, list[Exception]] = {}
        self.sessions: list[str] = []
        self.loops: list[asyncio.Task[None]] = []
        self.begin()

    def begin(self) -> None:
        """Start a process anew."""
        for task in self.loops:
            task.cancel()
        self.invoking = Invoking(self.store, self.world, self.records, lambda: self.functions, self.metrics)
        deps = ReconcilerDeps(
            self.store,
            None,
            self.world,
            Site(),
            lambda a, r, s, source="", trace="": self.aws,
            self.with_role,  # type: ignore[arg-type]
        )
        self.loops = [self.loop.create_task(self.invoking.events.run(Destinations(deps)))]

    def with_role(self, account: str, region: str, credentials: Any, trace: str = "") -> Any:
        self.sessions.append(credentials["AccessKeyId"])
        return self.aws

    async def aws(self, service: str, operation: str, request: Any) -> Any:
        failures = self.refuse.get(operation)
        if failures:
            raise failures.pop(0)
        if operation == "AssumeRole":
            return {"Credentials": {"AccessKeyId": request["RoleArn"], "SecretAccessKey": "", "SessionToken": ""}}
        self.calls.append((service, operation, dict(request)))
        return {}

    async def change(self, *changes: Any) -> None:
        await self.store.transact(lambda tx: [change(tx) for change in changes] and None)

    async def configure(self, qualifier: str = "$LATEST", **spec: Any) -> None:
        made = EventInvokeSpec("f", qualifier, START, **spec)
        key = {"account": ACCOUNT, "region": REGION, "name": qualified("f", qualifier), "arn": ""}
        await self.change(lambda tx: tx.create(EVENT_INVOKE, spec=made, status=NoStatus(), **key))

    async def send(
        self, payload: bytes = b"{}", name: str = "f", qualifier: str = "", id: str = "id", trace: str = ""
    ) -> None:
        invoker = self.invoking.invoker
        target = invoker.find(ACCOUNT, REGION, name, qualifier)
        await self.invoking.events.put(target, id, payload, invoker.trace_of_event(target, trace), "")

    def waiting(self, name: str = "f") -> int:
        return self.invoking.events.waiting(Where(ACCOUNT, REGION, name))

    def kept(self, name: str = "f") -> int:
        return len(self.records.heads(Where(ACCOUNT, REGION, name).shelf))

    async def through(self, name: str = "f") -> None:
        while self.waiting(name):
            await asyncio.sleep(0.05)

    def told(self, index: int = -1) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.calls[index][2]["MessageBody"])
        return found


async def scene(**spec: Any) -> Scene:
    made = Scene()
    await made.change(lambda tx: make_function(tx, **spec))
    return made


def outcomes(*several: Outcome | Exception) -> Any:
    left = list(several)

    async def behave(function: Function, invocation: Invocation) -> Outcome:
        found = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(found, Exception):
            raise found
        return found

    return behave
