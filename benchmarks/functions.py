"""A warm invocation through the server's end, the link, the node and its Runtime API, beside the bare loop over that API
which AWS's client for Python needs at least: one socket, no logs, nothing in between. Same function, in turns."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

import uvloop

from benchmarks._harness import Promise, finish, rounds
from havre.control.functions.debugging import DebugDoors, Streams
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
from havre.kernel.function import Code, Function, FunctionLogs, Invocation
from havre.kernel.workload import Interface
from havre.kernel.world import World

ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"
CODE = "def handler(event, context):\n    return event\n"
EVENT = b'{"key1": "value1", "key2": "value2", "key3": "value3"}'
CALLS, WARM_UP = 2000, 300
ENVIRONMENTS = 8


# --- the bare loop


def _message(connection: socket.socket, buffer: bytearray) -> bytes:
    """One request off the connection."""
    while (end := buffer.find(b"\r\n\r\n")) < 0:
        buffer += connection.recv(65536)
    head = bytes(buffer[:end])
    at = head.lower().find(b"content-length:")
    size = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
    while len(buffer) < end + 4 + size:
        buffer += connection.recv(65536)
    del buffer[: end + 4 + size]
    return head


def bare(directory: Path) -> float:
    """Microseconds an invocation, p50."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        environment = {**os.environ, "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{listener.getsockname()[1]}"}
        client = subprocess.Popen([sys.executable, "-m", "awslambdaric", "app.handler"], cwd=directory, env=environment)
        try:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            buffer = bytearray()
            _message(connection, buffer)
            taken = []
            for n in range(CALLS):
                began = time.perf_counter()
                head = (
                    f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: r{n}\r\n"
                    f"Lambda-Runtime-Deadline-Ms: 9999999999999\r\nLambda-Runtime-Invoked-Function-Arn: {ARN}\r\n"
                    f"Content-Length: {len(EVENT)}\r\n\r\n"
                ).encode()
                connection.sendall(head + EVENT)
                _message(connection, buffer)
                taken.append(time.perf_counter() - began)
                connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
                _message(connection, buffer)
            return statistics.median(taken[WARM_UP:]) * 1e6
        finally:
            client.kill()
            client.wait()


# --- ours


async def _credentials(function: Function) -> dict[str, str | float]:
    return {}


async def _dial(sandbox: Sandbox) -> socket.socket:
    raise OSError("no extension listens")


async def _nowhere(sandbox: Sandbox, port: int) -> Streams:
    raise OSError("nobody debugs")


class _NoInterfaces:
    async def take(self, function: Function) -> Interface:
        raise AssertionError("the function is in no VPC")

    async def give_back(self, function: Function, interface: Interface) -> None: ...


async def _node(directory: Path) -> None:
    world = World(time.time, Random())
    spool = LineSpool(Spool(directory / "spool", limit=1 << 40))
    engine, doors, nothing = FakeSandboxes(), DebugDoors(_nowhere), _NoInterfaces()
    parts = Parts(engine, open_api, world, time.monotonic, spool, "", _dial, nothing, doors, _credentials)
    plane = Plane(parts, Rules(memory=1 << 20), stamp=lambda function: "")
    link = FunctionLink(FunctionLinkParts(directory / "f.sock", "n", lambda: "word", lambda: ""))
    profiler = None
    if os.environ.get("PROFILE"):
        import cProfile

        profiler = cProfile.Profile()
        profiler.enable()
    try:
        await link.run(plane)
    finally:
        if profiler:
            profiler.dump_stats(os.environ["PROFILE"])
        await plane.close()


def node(directory: Path) -> None:
    async def run() -> None:
        import signal

        task = asyncio.get_running_loop().create_task(_node(directory))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        await asyncio.wait([task])

    uvloop.run(run())


class Ours:
    """Server's end in this process, the node in one of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.function = Function(
            "f", ARN + ":$LATEST", "0" * 12, "us-east-1", "f", "$LATEST", Code("zip", path=str(directory)), "",
            FunctionLogs("/g"), "python3.11", "app.handler",
        )  # fmt: skip

    def one(self) -> float:
        """Microseconds an invocation, p50, one after the other."""
        return uvloop.run(self._with_hub(self._one))

    def many(self) -> float:
        """Invocations a second, as many at a time as there are environments."""
        return uvloop.run(self._with_hub(self._many))

    async def _with_hub(self, work) -> float:  # type: ignore[no-untyped-def]
        hub = FunctionHub(lambda: "word")
        serving = asyncio.get_running_loop().create_task(hub.serve(self.directory / "f.sock"))
        process = multiprocessing.get_context("spawn").Process(target=node, args=(self.directory,))
        process.start()
        try:
            await hub.until_able()
            return await work(hub)
        finally:
            process.terminate()
            serving.cancel()
            await asyncio.wait([serving])
            process.join()

    async def _call(self, hub: FunctionHub, n: int) -> None:
        found = await hub.invoke(self.function, Invocation(f"r{n}", ARN, EVENT))
        assert not found.error, found

    async def _one(self, hub: FunctionHub) -> float:
        taken = []
        for n in range(CALLS):
            began = time.perf_counter()
            await self._call(hub, n)
            taken.append(time.perf_counter() - began)
        return statistics.median(taken[WARM_UP:]) * 1e6

    async def _many(self, hub: FunctionHub) -> float:
        async def caller(n: int) -> None:
            for m in range(CALLS):
                await self._call(hub, n * CALLS + m)

        await asyncio.gather(*(self._call(hub, n) for n in range(ENVIRONMENTS)))
        began = time.perf_counter()
        await asyncio.gather(*(caller(n) for n in range(ENVIRONMENTS)))
        return ENVIRONMENTS * CALLS / (time.perf_counter() - began)


def main() -> None:
    with tempfile.TemporaryDirectory() as where:
        directory = Path(where)
        (directory / "app.py").write_text(CODE)
        ours = Ours(directory)
        warm = Promise("warm invocation through the plane, p50", "us", "<= 3", "bare loop over the Runtime API")
        warm.run(ours.one, lambda: bare(directory), rounds(5))
        floor = statistics.median(warm.theirs) / 1e6
        rate = Promise("invocations a second, 8 environments", "1/s", ">= 0.352", "1 / the bare loop")
        for _ in range(rounds(3)):
            rate.add(ours.many(), 1 / floor)
        finish(warm, rate)


if __name__ == "__main__":
    sys.exit(main())
