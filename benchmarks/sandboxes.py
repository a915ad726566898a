"""Sandboxes of functions: until the first answer, a hundred at once, and what an idle one takes of memory.

The engine itself is measured, with networks, Python and AWS's interface client, from being asked for a sandbox until the
function has answered; ``docker run`` of the same root file system until the function's first line, without any client.
Docker is given its time: four at once, where more only make each slower. Idle, both have an interpreter with AWS's client
that waits for the next invocation; the interpreter that ours were forked from is divided among the hundred.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import uvloop

from benchmarks._harness import Promise, finish, rounds
from havre.cli.runtimes.build import build
from havre.engines.host_network.engine import HostNetwork
from havre.engines.oci.engine import OciEngine
from havre.engines.sandbox import RUNTIME, Process, Sandbox
from havre.kernel.function import Code, Function, FunctionLogs
from havre.kernel.workload import Registry

IMAGE = "havre/lambda-python:3.11"
HUNDRED, AT_A_TIME = 100, 4
APP = "import os\nprint('first line', flush=True)\ndef handler(event, context):\n    return {'pid': os.getpid()}\n"
CLIENT = """
import os, socket
api = socket.create_server(("127.0.0.1", 9001))
api.set_inheritable(True)
os.environ["AWS_LAMBDA_RUNTIME_API"] = "127.0.0.1:9001"
os.execv("/lambda-entrypoint.sh", ["/lambda-entrypoint.sh", "app.handler"])
"""
"""Becomes AWS's client, which asks a Runtime API that never answers."""
LINE = "import sys; sys.path.insert(0, '/var/task'); import app; app.handler({}, None)"
ENVIRONMENT = {
    "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001",
    "LAMBDA_TASK_ROOT": "/var/task",
    "PYTHONPATH": "/var/runtime",
    "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin:/bin",
    "LANG": "en_US.UTF-8",
    "_HANDLER": "app.handler",
}


class Files:
    async def archive(self, code: Code) -> Path:
        raise NotImplementedError("the function is a directory")

    async def registry(self, image: str) -> tuple[str, Registry | None]:
        raise NotImplementedError("the function is a directory")


class Ours:
    """The engine, in a loop that runs while something is measured."""

    def __init__(self, directory: Path) -> None:
        (directory / "app").mkdir()
        (directory / "app/app.py").write_text(APP)
        self.loop = uvloop.new_event_loop()
        instance = f"bench{random.getrandbits(32):x}"
        self._server = self.loop.run_until_complete(asyncio.start_server(lambda *_: None, "127.0.0.1", 0))
        self.network = HostNetwork(instance, "127.0.0.1", self._server.sockets[0].getsockname()[1])
        self._make = lambda pool: OciEngine(instance, directory / "engine", Files(), self.network, pool=pool)
        self.engine = self._make(0)
        self.function = Function(
            *(
                "f1",
                "arn:f1",
                "000000000000",
                "us-east-1",
                "f1",
                "1",
                Code("directory", path=str(directory / "app")),
                "",
            ),
            FunctionLogs("g"),
            runtime="python3.11",
            handler="app.handler",
            memory=256,
        )
        self._pool: asyncio.Task[None] | None = None
        self.connections: list[asyncio.StreamWriter] = []

    def do(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    async def prepare(self, pool: int) -> None:
        """Ready as after a function was published, with so many in the pool."""
        if self._pool is not None:
            self._pool.cancel()
            self._pool = None
        await self.engine.close()
        self.engine = self._make(pool)
        await self.engine.prepare(self.function)
        if pool:
            self._pool = asyncio.ensure_future(self.engine.keep_pool())
            while self.engine.ready < pool:
                await asyncio.sleep(0.01)

    async def answered(self) -> Sandbox:
        """A new sandbox whose function has answered once."""
        sandbox = await self.engine.obtain(self.function)
        await self.engine.run(sandbox.id, Process(RUNTIME, ENVIRONMENT))
        listener = socket.socket(fileno=sandbox.api)
        connection, _ = await self.loop.sock_accept(listener)
        listener.close()
        reader, writer = await asyncio.open_connection(sock=connection)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: 1\r\nLambda-Runtime-Deadline-Ms: 9999999999999\r\n"
            b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
        )
        head = await reader.readuntil(b"\r\n\r\n")
        size = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        assert b"pid" in await reader.readexactly(size)
        self.connections.append(writer)
        return sandbox

    async def one(self) -> float:
        began = time.perf_counter()
        sandbox = await self.answered()
        took = time.perf_counter() - began
        await self.remove([sandbox])
        return took

    async def many(self, count: int) -> float:
        began = time.perf_counter()
        made = await asyncio.gather(*(self.answered() for _ in range(count)))
        took = time.perf_counter() - began
        await self.remove(list(made))
        return took

    async def remove(self, sandboxes: list[Sandbox]) -> None:
        for writer in self.connections:
            writer.close()
        self.connections.clear()
        await asyncio.gather(*(self.engine.remove(s.id) for s in sandboxes))

    async def idle(self, count: int) -> float:
        """MiB each, the interpreter that they were forked from shared among them."""
        made = [await self.answered() for _ in range(count)]
        for sandbox in made:
            self.engine.freeze(sandbox.id)
        whole = 0.0
        for sandbox in made:
            group = Path("/sys/fs/cgroup/memory", f"havre-{self.engine.instance}", sandbox.id)
            whole += kernel_memory(group) + sum(pss(int(pid)) for pid in (group / "cgroup.procs").read_text().split())
        whole += sum(pss(pid) for pid in self.engine.zygotes())
        await self.remove(made)
        return whole / count

    async def close(self) -> None:
        if self._pool is not None:
            self._pool.cancel()
        await self.engine.close()
        await self.network.remove_all()
        await self.network.close()
        self._server.close()


def pss(pid: int) -> float:
    """MiB: what it has for itself, and its part of what it shares."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def kernel_memory(group: Path) -> float:
    with contextlib.suppress(FileNotFoundError):
        return int((group / "memory.kmem.usage_in_bytes").read_text()) / 2**20
    for line in (group / "memory.stat").read_text().splitlines():
        if line.startswith("kernel "):
            return int(line.split()[1]) / 2**20
    return 0.0


class Docker:
    def __init__(self, directory: Path) -> None:
        self._mount = f"{directory / 'app'}:/var/task:ro"

    def one(self, *_: object) -> float:
        command = [
            "docker",
            "run",
            "--rm",
            "--memory=256m",
            "-v",
            self._mount,
            "--entrypoint",
            "/var/lang/bin/python3.11",
        ]
        began = time.perf_counter()
        with subprocess.Popen([*command, IMAGE, "-c", LINE], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"first line\n"
            took = time.perf_counter() - began
            process.wait()
        return took

    @contextlib.contextmanager
    def running(self, count: int, script: str = f"{LINE}; import time; time.sleep(1000)") -> Iterator[list[str]]:
        """So many that have said their line, and go on."""
        names: list[str] = [f"havre-bench-{os.getpid()}-{random.getrandbits(32):x}" for _ in range(count)]

        def start(name: str) -> None:
            command = ["docker", "run", "--name", name, "--memory=256m", "-v", self._mount]
            command += [
                "--entrypoint",
                "/var/lang/bin/python3.11",
                IMAGE,
                "-c",
                script,
            ]
            process = subprocess.Popen(command, stdout=subprocess.PIPE)
            clients.append(process)
            assert process.stdout is not None and process.stdout.readline() == b"first line\n"

        clients: list[subprocess.Popen[bytes]] = []
        try:
            with ThreadPoolExecutor(AT_A_TIME) as pool:
                list(pool.map(start, names))
            yield names
        finally:
            with ThreadPoolExecutor(AT_A_TIME) as pool:
                list(
                    pool.map(
                        lambda n: subprocess.run(["docker", "rm", "-f", n], capture_output=True, check=False), names
                    )
                )
            for client in clients:
                client.kill()
                client.communicate()

    def many(self, count: int) -> float:
        began = time.perf_counter()
        with self.running(count):
            return time.perf_counter() - began

    def idle(self, count: int) -> float:
        """MiB each: the container and its shim."""
        whole = 0.0
        with self.running(count, CLIENT) as names:
            for name in names:
                said = subprocess.run(["docker", "inspect", name], capture_output=True, check=True).stdout
                found = json.loads(said)[0]
                pid, id = found["State"]["Pid"], found["Id"]
                shim = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
                whole += pss(pid) + pss(shim) + kernel_memory(Path("/sys/fs/cgroup/memory/docker", id))
        return whole / count


def main() -> None:
    cold = "cold start, zip, Python, request until answer"
    pooled = Promise(f"{cold}, from the pool", "s", "<= 0.1", "docker run until the first line")
    empty = Promise(f"{cold}, empty pool", "s", "<= 0.5", "docker run until the first line")
    crowd = Promise("0 to 100 concurrent environments", "s", "<= 0.15", "100 docker run, 4 at a time")
    memory = Promise(
        f"idle environment, Python, each of {HUNDRED}", "MiB", "<= 0.5", "idle docker container and its shim"
    )
    build("python3.11", os.environ, lambda text: print(text, file=sys.stderr))
    with tempfile.TemporaryDirectory(prefix="havre-bench-") as name:
        directory = Path(name)
        ours, docker = Ours(directory), Docker(directory)
        try:
            for promise, pool in ((pooled, 4), (empty, 0)):
                ours.do(ours.prepare(pool))

                def one(pool: int = pool) -> float:
                    while ours.engine.ready < pool:
                        ours.do(asyncio.sleep(0.02))
                    return float(ours.do(ours.one()))

                promise.run(one, docker.one, rounds(7))
            crowd.run(lambda: float(ours.do(ours.many(HUNDRED))), lambda: docker.many(HUNDRED), rounds(2), warm_up=0)
            memory.run(lambda: float(ours.do(ours.idle(HUNDRED))), lambda: docker.idle(HUNDRED), rounds(1), warm_up=0)
        finally:
            ours.do(ours.close())
    finish(pooled, empty, crowd, memory)


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("sandboxes need root")
    main()
