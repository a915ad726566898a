"""What the sandbox suites share: an engine, functions, and programs run in their sandboxes."""

from __future__ import annotations

import asyncio
import io
import os
import random
import stat
import zipfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from havre.engines.oci.engine import OciEngine
from havre.engines.ports import NetworkEngine
from havre.engines.sandbox import Process, Sandbox, SandboxEngine
from havre.kernel import runtimes
from havre.kernel.function import Code, Function, FunctionLogs
from havre.kernel.workload import Registry

RUNTIME = "python3.11"
PATIENCE = 30.0
CPATH = "/var/lang/bin:/usr/local/bin:/usr/bin:/bin"


def need_runtime(name: str = RUNTIME) -> None:
    """Makes the test fail in CI, or skip elsewhere, where the runtime is not built."""
    if runtimes.root_of(runtimes.place(os.environ), name).is_dir():
        return
    build = f"needs the runtime: havre lambda build-runtime {name}"
    if os.environ.get("CI"):
        pytest.fail(build, pytrace=False)
    pytest.skip(build)


class Archives:
    """Archives by digest, and where images are."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.registries: dict[str, Registry] = {}
        self.asked: list[str] = []

    def keep(self, files: Mapping[str, str | bytes], modes: Mapping[str, int] = {}) -> Code:
        digest = f"{random.getrandbits(256):064x}"
        path = self.directory / digest
        path.write_bytes(archive(files, modes))
        return Code("zip", digest, size=path.stat().st_size)

    async def archive(self, code: Code) -> Path:
        self.asked.append(code.digest)
        return self.directory / code.digest

    async def registry(self, image: str) -> tuple[str, Registry | None]:
        return image, self.registries.get(image.partition("/")[0])


def archive(files: Mapping[str, str | bytes], modes: Mapping[str, int] = {}) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = modes.get(name, stat.S_IFREG | 0o644) << 16
            zipped.writestr(info, content)
    return buffer.getvalue()


def function(code: Code, **fields: Any) -> Function:
    name = f"f{random.getrandbits(64):x}"
    given: dict[str, Any] = {"runtime": RUNTIME, "handler": "app.handler", "memory": 256, **fields}
    arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}:$LATEST"
    return Function(name, arn, "000000000000", "us-east-1", name, "$LATEST", code, "", FunctionLogs("g"), **given)


class Bench:
    """Remembers what the engine tells."""

    def __init__(self, engine: SandboxEngine, archives: Archives) -> None:
        self.engine = engine
        self.archives = archives
        self.output: dict[tuple[str, str], bytearray] = {}
        self.exits: dict[tuple[str, str], tuple[int, bool]] = {}
        self._changed = asyncio.Event()
        engine.on_output, engine.on_exit = self._told, self._ended

    def _told(self, id: str, name: str, data: bytes) -> None:
        self.output.setdefault((id, name), bytearray()).extend(data)
        self._changed.set()

    def _ended(self, id: str, name: str, code: int, oom: bool) -> None:
        self.exits[id, name] = (code, oom)
        self._changed.set()

    async def until(self, what: Any) -> None:
        """``what()`` is true; it is asked whenever the engine has told something."""
        async with asyncio.timeout(PATIENCE):
            while not what():
                self._changed.clear()
                await self._changed.wait()

    def written(self, id: str, name: str = "p") -> str:
        return self.output.get((id, name), bytearray()).decode()

    async def obtain(self, **fields: Any) -> Sandbox:
        code = fields.pop("code", None) or self.archives.keep({"app.py": "def handler(event, context): return 1\n"})
        made = function(code, **fields)
        await self.engine.prepare(made)
        sandbox = await self.engine.obtain(made)
        os.close(sandbox.api)
        return sandbox

    async def start(self, sandbox: Sandbox, *command: str, name: str = "p", **environment: str) -> None:
        await self.engine.run(sandbox.id, Process(name, {"PATH": CPATH, **environment}, command))

    async def sh(self, sandbox: Sandbox, script: str, name: str = "p") -> tuple[int, str]:
        """Exit code and what it wrote."""
        self.exits.pop((sandbox.id, name), None)
        self.output.pop((sandbox.id, name), None)
        await self.start(sandbox, "/bin/sh", "-c", script, name=name)
        await self.until(lambda: (sandbox.id, name) in self.exits)
        return self.exits[sandbox.id, name][0], self.written(sandbox.id, name)


@asynccontextmanager
async def real(directory: Path, network: NetworkEngine | None = None, **options: Any) -> AsyncIterator[Bench]:
    archives = Archives(directory / "archives")
    archives.directory.mkdir(parents=True)
    instance = f"t{random.getrandbits(40):x}"
    engine = OciEngine(instance, directory / "engine", archives, network, **options)
    bench = Bench(engine, archives)
    pool = asyncio.ensure_future(engine.keep_pool())
    try:
        yield bench
    finally:
        pool.cancel()
        with suppress(asyncio.CancelledError):
            await pool
        await engine.close()
