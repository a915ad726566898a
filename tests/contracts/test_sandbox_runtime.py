"""Python functions as they run for real, from a warmed-up interpreter and from a cold one: no difference but time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import secrets
import socket
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from havre.engines.oci.engine import OciEngine
from havre.engines.sandbox import RUNTIME, Process, Sandbox
from tests.contracts.sandbox_bench import CPATH, Bench, function, need_runtime, real

pytestmark = pytest.mark.root

COLD = {"PYTHONNODEBUGRANGES": ""}
"""A variable that an interpreter reads when it starts, and that changes nothing while it is empty."""
ENVIRONMENT = {
    "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001",
    "LAMBDA_TASK_ROOT": "/var/task",
    "PYTHONPATH": "/var/runtime",
    "PATH": CPATH,
    "TZ": ":UTC",
    "LANG": "en_US.UTF-8",
    "_HANDLER": "app.handler",
}


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    need_runtime()
    async with real(tmp_path, pool=0) as made:
        yield made


class Api:
    """Lambda's Runtime API for one sandbox, as far as one invocation after the other needs it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._listener = socket.socket(fileno=sandbox.api)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def invoke(self, event: object) -> Any:
        """What the function answers, or the error that it tells."""
        line, _ = await self._request()
        if line.endswith("/next"):
            body = json.dumps(event).encode()
            head = "Lambda-Runtime-Aws-Request-Id: 8476a536\r\nLambda-Runtime-Deadline-Ms: 99999999999999"
            self._answer("200 OK", body, head)
            line, content = await self._request()
        else:
            content = _
        self._answer("202 Accepted", b'{"status":"OK"}')
        return json.loads(content)

    async def _request(self) -> tuple[str, bytes]:
        if self._streams is None:
            connection, _ = await asyncio.get_running_loop().sock_accept(self._listener)
            self._streams = await asyncio.open_connection(sock=connection)
        reader = self._streams[0]
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except asyncio.IncompleteReadError:
            self._streams = None
            return await self._request()
        sizes = [line.partition(":")[2] for line in head.lower().splitlines() if line.startswith("content-length:")]
        return head.split(" ")[1], await reader.readexactly(int(sizes[0]) if sizes else 0)

    def _answer(self, status: str, body: bytes, head: str = "X: y") -> None:
        assert self._streams is not None
        content = (
            f"HTTP/1.1 {status}\r\n{head}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._streams[1].write(content.encode() + body)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
        self._listener.close()


@contextlib.asynccontextmanager
async def running(
    bench: Bench, files: Mapping[str, str], extra: Mapping[str, str] = {}, **fields: Any
) -> AsyncIterator[tuple[Sandbox, Api]]:
    made = function(bench.archives.keep(files), **fields)
    await bench.engine.prepare(made)
    sandbox = await bench.engine.obtain(made)
    api = Api(sandbox)
    try:
        await bench.engine.run(sandbox.id, Process(RUNTIME, {**ENVIRONMENT, **extra}))
        yield sandbox, api
    finally:
        await bench.engine.remove(sandbox.id)
        api.close()


@pytest.fixture(params=["3.11", "3.13"])
def version(request: pytest.FixtureRequest) -> str:
    """Of Python: the oldest that is made here, and one of a later Debian."""
    need_runtime(f"python{request.param}")
    return str(request.param)


@pytest.fixture(params=["warm", "cold"])
def extra(request: pytest.FixtureRequest) -> Mapping[str, str]:
    return COLD if request.param == "cold" else {}


def is_warm(sandbox: Sandbox) -> bool:
    """Whether its runtime came about without a program being executed."""
    space = Path(f"/proc/{sandbox.pid}/ns/pid").readlink()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "ns/pid").readlink() == space:
                found.append((process / "cmdline").read_text())
    return any("zygote" in line for line in found)


SAY = """
import json, os, sys
def handler(event, context):
    print("written by the function")
    return {
        "event": event, "path": sys.path, "argv": sys.argv, "cwd": os.getcwd(), "uid": os.getuid(), "umask": os.umask(0o22),
        "executable": os.path.realpath(sys.executable), "given": os.environ.get("GIVEN"), "id": context.aws_request_id,
        "main": sys.modules["__main__"].__name__, "utf8": [sys.flags.utf8_mode, sys.stdout.encoding, sys.stderr.encoding],
    }
"""


async def test_warm_and_cold_answer_alike(bench: Bench, version: str) -> None:
    answers = []
    for extra, expected in (({}, True), (COLD, False)):
        given = {"GIVEN": "x", **extra}
        async with running(bench, {"app.py": SAY}, given, runtime=f"python{version}") as (sandbox, api):
            answers.append(await api.invoke({"n": 1}))
            assert is_warm(sandbox) is expected
            await bench.until(lambda id=sandbox.id: bench.written(id, RUNTIME))
            assert bench.written(sandbox.id, RUNTIME) == "written by the function\n"
    assert answers[0] == answers[1]
    assert answers[0]["event"] == {"n": 1}
    assert answers[0]["path"][:4] == [
        "/var/task",
        f"/opt/python/lib/python{version}/site-packages",
        "/opt/python",
        "/var/runtime",
    ]
    assert answers[0]["executable"] == f"/usr/bin/python{version}"


async def test_what_others_are_forked_from_knows_no_functions_variables(bench: Bench, extra: Mapping[str, str]) -> None:
    """They would be in the memory of every function that comes later, of whatever account."""
    secret = secrets.token_hex(16)
    given = {"PASSWORD": secret, **extra}
    async with running(bench, {"app.py": "def handler(e, c): return 1\n"}, given) as (_, api):
        assert await api.invoke({}) == 1
        assert isinstance(bench.engine, OciEngine)
        for pid in bench.engine.zygotes():
            assert secret.encode() not in memory(pid)


def memory(pid: int) -> bytes:
    found = b""
    with open(f"/proc/{pid}/mem", "rb") as file:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            start, _, end = line.partition(" ")[0].partition("-")
            if " rw" in line:
                file.seek(int(start, 16))
                found += file.read(int(end, 16) - int(start, 16))
    return found


async def test_the_functions_own_modules_come_first(bench: Bench, version: str, extra: Mapping[str, str]) -> None:
    """Whatever was imported in advance."""
    handler = (
        "import boto3, uuid, six, bootstrap\ndef handler(e, c): return [boto3.OWN, uuid.OWN, six.OWN, bootstrap.OWN]\n"
    )
    files = {"app.py": handler, "boto3/__init__.py": "OWN = 1", "uuid.py": "OWN = 2", "six.py": "OWN = 3"}
    files["bootstrap.py"] = "OWN = 4"
    async with running(bench, files, extra, runtime=f"python{version}") as (_, api):
        assert await api.invoke({}) == [1, 2, 3, 4]


async def test_modules_of_layers_come_before_the_runtimes(bench: Bench, extra: Mapping[str, str]) -> None:
    layer = bench.archives.keep(
        {"python/six.py": "OWN = 'six'", "python/lib/python3.11/site-packages/mine.py": "x = 4"}
    )
    handler = "import six, mine, botocore\ndef handler(e, c): return [six.OWN, mine.x, botocore.__file__[:13]]\n"
    async with running(bench, {"app.py": handler}, extra, layers=(layer,)) as (_, api):
        assert await api.invoke({}) == ["six", 4, "/var/runtime/"]


async def test_an_error_of_the_init_phase(bench: Bench, extra: Mapping[str, str]) -> None:
    async with running(bench, {"app.py": "import nothing_of_that_name\n"}, extra) as (sandbox, api):
        told = await api.invoke({})
        assert told["errorType"] == "Runtime.ImportModuleError"
        assert told["errorMessage"] == "Unable to import module 'app': No module named 'nothing_of_that_name'"
        await bench.until(lambda: (sandbox.id, RUNTIME) in bench.exits)
        assert bench.exits[sandbox.id, RUNTIME] == (1, False)


async def test_a_traceback_is_the_functions_only(bench: Bench, version: str, extra: Mapping[str, str]) -> None:
    code = {"app.py": "def handler(e, c):\n    raise ValueError('no')\n"}
    async with running(bench, code, extra, runtime=f"python{version}") as (_, api):
        told = await api.invoke({})
        assert (told["errorType"], told["errorMessage"]) == ("ValueError", "no")
        assert told["stackTrace"] == ["  File \"/var/task/app.py\", line 2, in handler\n    raise ValueError('no')\n"]


async def test_a_runtime_that_exits(bench: Bench, extra: Mapping[str, str]) -> None:
    handler = "import atexit, sys\natexit.register(lambda: print('at exit'))\ndef handler(e, c): sys.exit(3)\n"
    async with running(bench, {"app.py": handler}, extra) as (sandbox, api):
        task = asyncio.ensure_future(api.invoke({}))
        await bench.until(lambda: (sandbox.id, RUNTIME) in bench.exits)
        task.cancel()
        assert bench.exits[sandbox.id, RUNTIME] == (3, False)
        assert bench.written(sandbox.id, RUNTIME) == "at exit\n"


async def test_logs_in_json_if_that_is_asked_for(bench: Bench, version: str, extra: Mapping[str, str]) -> None:
    handler = """
import logging
def handler(e, c):
    logging.getLogger().warning('a %s', 'word')
    raise KeyError('no')
"""
    formatted = {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "INFO", **extra}
    async with running(bench, {"app.py": handler}, formatted, runtime=f"python{version}") as (sandbox, api):
        assert (await api.invoke({}))["errorType"] == "KeyError"
        await bench.until(lambda: bench.written(sandbox.id, RUNTIME).count("\n") >= 2)
        lines = [json.loads(line) for line in bench.written(sandbox.id, RUNTIME).splitlines()]
        assert [(line["level"], line.get("message"), line.get("errorType")) for line in lines] == [
            ("WARNING", "a word", None),
            ("ERROR", None, "KeyError"),
        ]


async def test_each_has_chance_of_its_own(bench: Bench) -> None:
    handler = """
import random, ssl, uuid
def handler(e, c): return [random.random(), str(uuid.uuid4()), ssl.RAND_bytes(8).hex()]
"""
    seen = []
    for _ in range(3):
        async with running(bench, {"app.py": handler}) as (_, api):
            seen.append(await api.invoke({}))
    assert all(len(set(values)) == 3 for values in zip(*seen, strict=True))


async def test_programs_that_it_starts_are_ordinary(bench: Bench) -> None:
    handler = """
import subprocess, sys
def handler(e, c):
    command = [sys.executable, "-c", "import boto3, os; print(boto3.__name__, os.getuid())"]
    return subprocess.run(command, capture_output=True, text=True).stdout
"""
    async with running(bench, {"app.py": handler}) as (_, api):
        assert await api.invoke({}) == "boto3 993\n"


async def test_a_function_sees_nothing_of_what_it_is_forked_by(bench: Bench, version: str) -> None:
    handler = """
import sys
def handler(e, c): return sorted(name for name in sys.modules if "havre" in name or "zygote" in name)
"""
    async with running(bench, {"app.py": handler, "havre.py": ""}, runtime=f"python{version}") as (sandbox, api):
        assert await api.invoke({}) == [] and is_warm(sandbox)


async def test_a_wrapper_script_goes_before_the_runtime(bench: Bench) -> None:
    wrapper = '#!/bin/sh\nexport WRAPPED="$1"\nexec "$@"\n'
    layer = bench.archives.keep({"wrap": wrapper}, {"wrap": 0o100755})
    handler = "import os\ndef handler(e, c): return os.environ['WRAPPED']\n"
    extra = {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrap"}
    async with running(bench, {"app.py": handler}, extra, layers=(layer,)) as (_, api):
        assert await api.invoke({}) == "/var/lang/bin/python3.11"


async def test_pooled_ones_are_like_others(bench: Bench, tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        (tmp_path / "pooled").mkdir()
        pooled = await stack.enter_async_context(real(tmp_path / "pooled", pool=2))
        assert isinstance(pooled.engine, OciEngine)
        code = pooled.archives.keep({"app.py": SAY})
        made = function(code, memory=300, temporary=600)
        await pooled.engine.prepare(made)
        async with asyncio.timeout(30):
            while pooled.engine.ready < 2:
                await asyncio.sleep(0.01)
        sandbox = await pooled.engine.obtain(made)
        assert sandbox.pooled and re.fullmatch(r"python:3\.11\.v[0-9a-f]+", sandbox.runtime)
        api = Api(sandbox)
        stack.callback(api.close)
        await pooled.engine.run(sandbox.id, Process(RUNTIME, ENVIRONMENT))
        answer = await api.invoke(5)
        assert answer["event"] == 5
        async with running(bench, {"app.py": SAY}) as (_, other):
            assert {**await other.invoke(5)} == answer
        assert (await pooled.sh(sandbox, "df -m /tmp | tail -1"))[1].split()[3] in {str(n) for n in range(600, 611)}
        os.kill(sandbox.pid, 0)


async def test_the_pool_fills_again_after_everything_was_removed(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "pooled").mkdir()
    async with real(tmp_path / "pooled", pool=1) as pooled:
        assert isinstance(pooled.engine, OciEngine)
        made = function(pooled.archives.keep({"app.py": SAY}))
        await pooled.engine.remove_all()
        for _ in range(2):
            await pooled.engine.prepare(made)
            async with asyncio.timeout(30):
                while pooled.engine.ready < 1:
                    await asyncio.sleep(0.01)
            await pooled.engine.remove_all()
            assert pooled.engine.ready == 0
