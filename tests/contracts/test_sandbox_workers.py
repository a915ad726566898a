"""Python functions that work on several invocations at once: AWS's client forks a worker for each, warm or cold."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from havre.engines.sandbox import RUNTIME, Process, Sandbox
from tests.contracts.sandbox_bench import Bench, function, need_runtime, real
from tests.contracts.test_sandbox_runtime import COLD, ENVIRONMENT

pytestmark = pytest.mark.root
VERSION = "python3.13"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    need_runtime(VERSION)
    async with real(tmp_path, pool=0) as made:
        yield made


class Api:
    """The Runtime API for several workers, each of which has a connection."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._listener = socket.socket(fileno=sandbox.api)
        self._listener.setblocking(False)
        self.waiting: list[asyncio.StreamWriter] = []
        self.answers: list[Any] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def serve(self) -> None:
        while True:
            connection, _ = await asyncio.get_running_loop().sock_accept(self._listener)
            streams = await asyncio.open_connection(sock=connection)
            self._tasks.append(asyncio.ensure_future(self._talk(*streams)))

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                if "/runtime/invocation/next" in head.splitlines()[0]:
                    self.waiting.append(writer)
                    continue
                size = next(int(line[16:]) for line in head.splitlines() if line.startswith("content-length: "))
                self.answers.append(json.loads(await reader.readexactly(size)))
                _write(writer, "202 Accepted", b"{}")

    def give(self, id: str, event: object) -> None:
        head = f"Lambda-Runtime-Aws-Request-Id: {id}\r\nLambda-Runtime-Deadline-Ms: 99999999999999\r\n"
        head += "Content-Type: application/json\r\n"
        _write(self.waiting.pop(), "200 OK", json.dumps(event).encode(), head)

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._listener.close()


def _write(writer: asyncio.StreamWriter, status: str, body: bytes, head: str = "") -> None:
    writer.write(f"HTTP/1.1 {status}\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.01)


TOGETHER = """
import os, time
from pathlib import Path

def handler(event, context):
    Path("/tmp", context.aws_request_id).touch()
    while len(os.listdir("/tmp")) < event["count"]:
        time.sleep(0.005)
    print("at work", flush=True)
    return {"id": context.aws_request_id, "pid": os.getpid(), "parent": os.getppid()}
"""


@pytest.mark.parametrize("extra", [{}, COLD], ids=["warm", "cold"])
async def test_workers_share_a_sandbox_and_work_at_once(bench: Bench, extra: Mapping[str, str]) -> None:
    made = function(bench.archives.keep({"app.py": TOGETHER}), runtime=VERSION, concurrency=3, cpus=1.0)
    await bench.engine.prepare(made)
    sandbox = await bench.engine.obtain(made)
    environment = {
        **ENVIRONMENT,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{VERSION}",
        "AWS_LAMBDA_LOG_FORMAT": "JSON",
        "AWS_LAMBDA_MAX_CONCURRENCY": "3",
        **extra,
    }
    await bench.engine.run(sandbox.id, Process(RUNTIME, environment))
    api = Api(sandbox)
    serving = asyncio.ensure_future(api.serve())
    try:
        await until(lambda: len(api.waiting) == 3)
        for number in range(3):
            api.give(f"r{number}", {"count": 3})
        await until(lambda: len(api.answers) == 3)
    finally:
        serving.cancel()
        api.close()
    answers = api.answers
    assert sorted(each["id"] for each in answers) == ["r0", "r1", "r2"]
    assert len({each["pid"] for each in answers}) == 3 and len({each["parent"] for each in answers}) == 1
    await bench.until(lambda: bench.written(sandbox.id, RUNTIME).count("at work") == 3)
    await bench.engine.remove(sandbox.id)


async def test_each_worker_has_a_connection_of_its_own_for_what_it_writes(bench: Bench) -> None:
    made = function(bench.archives.keep({"app.py": TOGETHER}), runtime=VERSION, concurrency=2, cpus=1.0)
    await bench.engine.prepare(made)
    sandbox = await bench.engine.obtain(made)
    path, descriptor = bench.engine.lines(sandbox.id)
    written: list[bytes] = []

    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        written.append(await reader.read())
        writer.close()

    server = await asyncio.start_unix_server(read, sock=socket.socket(fileno=descriptor))
    environment = {
        **ENVIRONMENT,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{VERSION}",
        "AWS_LAMBDA_MAX_CONCURRENCY": "2",
        "_LAMBDA_TELEMETRY_LOG_FD_PROVIDER_SOCKET": path,
    }
    await bench.engine.run(sandbox.id, Process(RUNTIME, environment))
    api = Api(sandbox)
    serving = asyncio.ensure_future(api.serve())
    try:
        await until(lambda: len(api.waiting) == 2)
        for number in range(2):
            api.give(f"r{number}", {"count": 3})  # the socket lies in /tmp as well
        await until(lambda: len(api.answers) == 2)
    finally:
        serving.cancel()
        api.close()
    await bench.engine.remove(sandbox.id)
    await until(lambda: len(written) == 4)
    server.close()
    assert sorted(written) == [b"", b"", b"at work\n", b"at work\n"]
    assert bench.written(sandbox.id, RUNTIME) == ""


BURN = """
import time
end = time.process_time() + 0.3
while time.process_time() < end:
    pass
print("burnt", flush=True)
time.sleep(60)
"""


async def test_processor_time_is_counted(bench: Bench) -> None:
    made = function(bench.archives.keep({"app.py": BURN}), runtime=VERSION)
    await bench.engine.prepare(made)
    sandbox = await bench.engine.obtain(made)
    assert bench.engine.cpu_used(sandbox.id) < 0.3
    burn = Process(RUNTIME, ENVIRONMENT, ("/var/lang/bin/python3", "/var/task/app.py"))
    await bench.engine.run(sandbox.id, burn)
    await bench.until(lambda: "burnt" in bench.written(sandbox.id, RUNTIME))
    assert bench.engine.cpu_used(sandbox.id) >= 0.28
    await bench.engine.remove(sandbox.id)
    assert bench.engine.cpu_used(sandbox.id) == 0.0
