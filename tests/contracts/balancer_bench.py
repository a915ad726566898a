"""Targets that tell what reached them, a client, and the two engines behind one face."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest

from havre.engines.fake_balancer import Answer, Asked, FakeBalancerEngine
from havre.engines.haproxy import HaproxyEngine
from havre.kernel.balancer import (
    Balancer,
    BalancerAction,
    BalancerHealthCheck,
    BalancerListener,
    BalancerPool,
    BalancerRule,
    BalancerTarget,
    TargetHealth,
)

QUICK = BalancerHealthCheck(interval=0.05, timeout=20, healthy=2, unhealthy=2)
"""Asks often, and waits: a target of a busy machine that answers late is not ill."""
HOST = "127.88.0.1"
PATIENCE = 60.0
"""Seconds after which something that should come is not coming; a slow, busy machine is not to be mistaken for that."""


class Target:
    """An HTTP/1.1 server on a loopback port: answers 200 with what it was asked, as JSON."""

    def __init__(self) -> None:
        self.port = 0
        self.checked = 200
        self.held: asyncio.Event | None = None
        self.headers: list[str] = []
        self.begun = 0
        self.served = 0
        self.hang_up = False
        self.silent = False
        self.paths: list[str] = []
        self._open: set[asyncio.StreamWriter] = set()

    def hold(self) -> asyncio.Event:
        """Requests from now on are answered once this is set; checks of its health are answered at once."""
        self.held = asyncio.Event()
        return self.held

    async def start(self, port: int = 0, tls: ssl.SSLContext | None = None) -> Target:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        self._server.close()

    async def kill(self) -> None:
        """As when its process dies: nothing listens, and connections are reset."""
        self._server.close()
        for writer in self._open:
            writer.transport.abort()

    @property
    def id(self) -> str:
        return f"127.0.0.1:{self.port}"

    def target(self, **more: Any) -> BalancerTarget:
        return BalancerTarget(self.id, "127.0.0.1", self.port, **more)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):  # the loop ends with connections open
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                if "upgrade: websocket" in (line.lower() for line in head):
                    await self._upgrade(reader, writer)
                    return
                lines = dict(line.split(": ", 1) for line in head[1:] if line)
                names = {name.lower(): value for name, value in lines.items()}
                check = names.get("user-agent") == "ELB-HealthChecker/2.0"
                self.paths.append(head[0])
                while self.silent:
                    await asyncio.sleep(0.05)
                if not check:
                    self.begun += 1
                    if self.held is not None:
                        await self.held.wait()
                    if self.hang_up:
                        break
                    self.served += 1
                status = self.checked if check else 200
                body = json.dumps({"target": self.id, "request": head[0], "headers": names}).encode()
                extra = "".join(f"{line}\r\n" for line in self.headers)
                answer = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
                writer.write(answer.encode() + body)
                await writer.drain()
        self._open.discard(writer)
        writer.close()

    async def _upgrade(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accept = b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        writer.write(b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + accept + b"\r\n")
        while data := await reader.read(1000):
            writer.write(data)


@dataclass
class Reply:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name.lower()), "")

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name.lower()]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def fetch(address: str, port: int, asked: Asked | None = None, headers: Mapping[str, str] | None = None) -> Reply:
    """One request on a connection of its own. Raises OSError where nothing listens."""
    asked = asked or Asked()
    source = (asked.source, 0) if asked.source != "127.0.0.1" else None
    reader, writer = await asyncio.open_connection(address, port, local_addr=source)
    try:
        target = asked.path if asked.query is None else f"{asked.path}?{asked.query}"
        lines = [f"{asked.method} {target} HTTP/1.1", f"Host: {asked.host or address}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in {**asked.headers, **(headers or {})}.items()]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        raw = await asyncio.wait_for(reader.read(-1), PATIENCE)
    finally:
        writer.close()
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    pairs = [(k.lower(), v) for k, _, v in (line.partition(": ") for line in rest)]
    return Reply(int(first.split()[1]), pairs, body)


def forward(*pools: str) -> BalancerAction:
    return BalancerAction("forward", tuple((pool, 1) for pool in pools))


def listener(
    port: int, *rules: BalancerRule, action: BalancerAction | None = None, id: str = "listener"
) -> BalancerListener:
    default = BalancerRule("default", (), action or forward("pool"))
    return BalancerListener(f"{id}-{port}", port, "HTTP", (*rules, default))


def balancer(port: int, *targets: BalancerTarget, id: str = "web", **more: Any) -> Balancer:
    """A balancer with one pool (``pool``) and one listener, unless told otherwise."""
    pool = BalancerPool("pool", "HTTP", targets, QUICK)
    given = {"listeners": (listener(port),), "pools": (pool,), "host_address": HOST, **more}
    return Balancer(id, f"{id}-1.us-east-1.elb.localhost", "", (), **given)


class Subject(Protocol):
    engine: Any

    async def ask(self, port: int, asked: Asked) -> Answer: ...

    def ail(self, target: Target, healthy: bool) -> None: ...


@dataclass
class Faked:
    """The fake: health is said, not checked."""

    engine: FakeBalancerEngine = field(default_factory=FakeBalancerEngine)
    ailing: set[str] = field(default_factory=set)

    async def ask(self, port: int, asked: Asked) -> Answer:
        return self.engine.ask(self.engine.balancers[0].id, port, asked)

    def ail(self, target: Target, healthy: bool) -> None:
        (self.ailing.discard if healthy else self.ailing.add)(target.id)
        self.engine.health = lambda pool, t: "unhealthy" if t.id in self.ailing else "healthy"
        self.engine.changed()


@dataclass
class Real:
    engine: HaproxyEngine

    async def ask(self, port: int, asked: Asked) -> Answer:
        reply = await fetch(HOST, port, asked)
        if reply.header("server") == "awselb/2.0":
            location = reply.header("location")
            body = "" if reply.header("content-type") == "text/html" else reply.body.decode()
            return Answer(reply.status, location="somewhere" if location else "", body=body)
        return Answer(reply.status, target=reply.json["target"])

    def ail(self, target: Target, healthy: bool) -> None:
        target.checked = 200 if healthy else 500


def need_haproxy() -> None:
    if shutil.which("haproxy") is None:
        if os.environ.get("CI"):
            pytest.fail("needs haproxy", pytrace=False)
        pytest.skip("needs haproxy")


@contextlib.asynccontextmanager
async def real(directory: Path) -> AsyncIterator[HaproxyEngine]:
    engine = HaproxyEngine(directory)
    run = asyncio.create_task(engine.run())
    try:
        yield engine
    finally:
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        await engine.stop()


async def until(holds: Callable[[], Any], seconds: float = PATIENCE) -> None:
    """Ask again and again; an awaitable answer is awaited."""
    async with asyncio.timeout(seconds):
        while True:
            answer = holds()
            if asyncio.iscoroutine(answer):
                answer = await answer
            if answer:
                return
            await asyncio.sleep(0.01)


async def states(engine: Any) -> dict[str, TargetHealth]:
    return {t.target: t for status in await engine.status() for t in status.targets}


async def all_healthy(engine: Any, targets: Sequence[Target]) -> bool:
    seen = await states(engine)
    return all(t.id in seen and seen[t.id].state == "healthy" for t in targets)
