"""A server's end and a node's end of the functions' link, in one process, with sandboxes that have no walls."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import msgspec

from havre.control.functions.debugging import DebugDoors, Streams
from havre.control.functions.environments import Memory
from havre.control.functions.hub import FunctionHub
from havre.control.functions.lines import LineSpool
from havre.control.functions.link import FunctionLink, FunctionLinkParts
from havre.control.functions.parts import Parts
from havre.control.functions.plane import Plane
from havre.control.nodelink.spool import Spool
from havre.core.environments import Rules
from havre.dataplanes.runtime_api import open_api
from havre.engines.fake_sandbox import FakeSandboxes
from havre.engines.sandbox import Sandbox
from havre.kernel.function import Code, Function, FunctionLogs, Invocation, Outcome
from havre.kernel.workload import Interface
from havre.kernel.world import World

ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"
ECHO = """
    def handler(event, context):
        return {"event": event, "arn": context.invoked_function_arn, "id": context.aws_request_id}
"""
GATE = """
    import os, time
    def handler(event, context):
        open(event["begun"], "w").close()
        while not os.path.exists(event["go"]):
            time.sleep(0.005)
        return os.getpid()
"""
"""Begins, and ends when it may: ``begun`` and ``go`` are paths."""


async def there(path: Path) -> None:
    while not path.exists():
        await asyncio.sleep(0.005)


class Ground:
    """``lines()`` are what has reached the spool, in order."""

    def __init__(
        self, directory: Path, hub: FunctionHub, plane: Plane, engine: FakeSandboxes, spool: Spool, lent: Lent
    ) -> None:
        self.lent = lent
        self.directory = directory
        self.hub = hub
        self.plane = plane
        self.engine = engine
        self.spool = spool
        self.made = 0

    def function(self, code: str, **fields: object) -> Function:
        """With this Python source, or these files by name."""
        self.made += 1
        root = self.directory / f"code{self.made}"
        root.mkdir()
        (root / "app.py").write_text(textwrap.dedent(code))
        given: dict[str, object] = dict(
            id=f"f{self.made}",
            arn=f"{ARN}:$LATEST",
            account="000000000000",
            region="us-east-1",
            name="f",
            version="$LATEST",
            code=Code("zip", digest="0" * 64, path=str(root)),
            role="arn:aws:iam::000000000000:role/r",
            logs=FunctionLogs("/aws/lambda/f"),
            runtime="python3.11",
            handler="app.handler",
        )
        return Function(**{**given, **fields})  # type: ignore[arg-type]

    async def invoke(self, function: Function, event: object = None, **fields: object) -> Outcome:
        self.made += 1
        asked = Invocation(f"r{self.made}", ARN, json.dumps(event).encode())
        return await self.hub.invoke(function, msgspec.structs.replace(asked, **fields))

    async def lines(self, *wanted: str) -> list[str]:
        """All lines so far, once each of ``wanted`` is in one of them."""
        while True:
            found = [text.decode() for text in self._spooled()]
            if all(any(w in line for line in found) for w in wanted):
                return found
            await asyncio.sleep(0.01)

    def _spooled(self) -> list[bytes]:
        found: list[tuple[int, bytes]] = []
        at = 0
        while True:
            at, batches = self.spool.read(at, 1 << 20)
            if not batches:
                return [text for _, text in found]
            found += [line for batch in batches for line in batch.lines]


async def dial(sandbox: Sandbox) -> socket.socket:
    plain = socket.socket()
    plain.setblocking(False)
    return plain


async def nowhere(sandbox: Sandbox, port: int) -> Streams:
    raise OSError("nothing listens")


class Lent:
    """Interfaces that are in no VPC: ``out`` are those that were not given back."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self.made = 0

    async def take(self, function: Function) -> Interface:
        self.made += 1
        self.out.append(f"eni-{self.made}")
        return Interface(f"eni-{self.made}", "vpc-1", "subnet-1", f"10.0.0.{self.made}", "02:00:00:00:00:01")

    async def give_back(self, function: Function, interface: Interface) -> None:
        self.out.remove(interface.eni)


class Clock:
    """The time, and what a test adds to it: ``pass_by`` so many seconds in a moment."""

    def __init__(self) -> None:
        self._passed = 0.0

    def pass_by(self, seconds: float) -> None:
        self._passed += seconds

    def now(self) -> float:
        return time.time() + self._passed

    def steady(self) -> float:
        return time.monotonic() + self._passed


async def no_credentials(function: Function) -> Mapping[str, str | float]:
    return {}


@asynccontextmanager
async def ground(
    tmp_path: Path,
    *,
    rules: Rules | None = None,
    credentials: object = no_credentials,
    stamp: object = None,
    memory: Memory | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[Ground]:
    spool = Spool(tmp_path / "spool")
    engine, lent = FakeSandboxes(), Lent()
    times = clock or Clock()
    world = World(times.now, Random(1))
    parts = Parts(
        engine,
        open_api,
        world,
        times.steady,
        LineSpool(spool),
        "http://127.0.0.1:4566",
        dial,
        lent,
        DebugDoors(nowhere),
        credentials,  # type: ignore[arg-type]
    )
    own_stamp = stamp or (lambda function: "")
    plane = Plane(parts, rules or Rules(memory=8192), stamp=own_stamp, memory=memory)  # type: ignore[arg-type]
    hub = FunctionHub(lambda: "word")
    path = tmp_path / "functions.sock"
    link = FunctionLink(FunctionLinkParts(path, "local", lambda: "word", lambda: ""))
    serving = asyncio.get_running_loop().create_task(hub.serve(path))
    dialling = asyncio.get_running_loop().create_task(link.run(plane))
    try:
        async with asyncio.timeout(20):
            await hub.until_able()
        yield Ground(tmp_path, hub, plane, engine, spool, lent)
    finally:
        dialling.cancel()
        await plane.close()
        serving.cancel()
        await asyncio.wait([dialling, serving])
        await engine.close()
        spool.close()


CLIENT = (sys.executable, str(Path(__file__).with_name("client.py")), "{handler}")
