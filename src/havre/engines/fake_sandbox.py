"""Sandboxes without walls: a SandboxEngine whose processes run on the host as they are, and which can be told to misbehave.

The Runtime API of each is on a port of its own, for all share the host's network. ``fail`` maps a method's name to what its
next call raises, ``delay`` to seconds. ``commands`` says what runs for a function's runtime ("" for images): arguments, in
which ``{handler}`` stands for the handler. Code is a directory, or an archive in ``archives``, which is unpacked below
``scratch``. What happened is counted in ``calls``.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import cast

from havre.engines.sandbox import API_PORT, RUNTIME, OnExit, OnOutput, Process, Sandbox
from havre.kernel.errors import Gone, Permanent
from havre.kernel.function import Function
from havre.kernel.workload import Interface

PYTHON = (sys.executable, "-m", "awslambdaric", "{handler}")


class _Box:
    def __init__(self, function: Function, port: int) -> None:
        self.function = function
        self.port = port
        self.processes: dict[str, asyncio.SubprocessTransport] = {}
        self.ends: list[asyncio.Future[None]] = []
        self.out_of_memory = False
        self.frozen = False
        self.lines: Path | None = None


def _nothing(*_: object) -> None: ...


class FakeSandboxes:
    """``extensions``: files by name that count as /opt/extensions of every sandbox."""

    def __init__(
        self,
        commands: Mapping[str, Sequence[str]] | None = None,
        archives: Path = Path("/nonexistent"),
        scratch: Path = Path("/nonexistent"),
    ) -> None:
        self._archives = archives
        self._scratch = scratch
        self.commands = dict(commands or {})
        self.extensions: dict[str, Path] = {}
        self.fail: dict[str, Exception] = {}
        self.delay: dict[str, float] = {}
        self.calls: Counter[str] = Counter()
        self.on_output: OnOutput = _nothing
        self.on_exit: OnExit = _nothing
        self.interfaces: list[str] = []
        """ENIs that it was given, in order."""
        self.peak = 42 << 20
        self.version = ""
        """Of the runtime, as sandboxes tell it."""
        self.cpu = 0.0
        self._boxes: dict[str, _Box] = {}
        self._made = 0

    async def _begin(self, method: str) -> None:
        self.calls[method] += 1
        if method in self.delay:
            await asyncio.sleep(self.delay[method])
        if method in self.fail:
            raise self.fail.pop(method)

    # --- for tests
    @property
    def boxes(self) -> Sequence[str]:
        return tuple(self._boxes)

    def frozen(self, id: str) -> bool:
        return self._boxes[id].frozen

    def starve(self, id: str) -> None:
        """It runs out of memory."""
        box = self._boxes[id]
        box.out_of_memory = True
        _signal(box.processes[RUNTIME], signal.SIGKILL)

    # --- the port
    def available(self) -> str:
        return ""

    async def prepare(self, function: Function) -> None:
        await self._begin("prepare")
        if function.code.path or function.code.kind != "zip":
            return
        target = self._scratch / function.code.digest
        if not target.exists():
            try:
                await asyncio.to_thread(_unpack, self._archives / function.code.digest, target)
            except (OSError, zipfile.BadZipFile) as error:
                raise Permanent(f"the archive cannot be unpacked: {error}") from None

    async def obtain(
        self, function: Function, interface: Interface | None = None, shares: Mapping[str, int] | None = None
    ) -> Sandbox:
        await self._begin("obtain")
        if interface is not None:
            self.interfaces.append(interface.eni)
        listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._made += 1
        id = f"box{self._made}"
        self._boxes[id] = _Box(function, listener.getsockname()[1])
        return Sandbox(id, 0, listener.detach(), extensions=tuple(sorted(self.extensions)), runtime=self.version)

    async def run(self, id: str, process: Process) -> None:
        await self._begin("run")
        box = self._box(id)
        arguments = self._arguments(box.function, process)
        code = box.function.code
        path = code.path or (str(self._scratch / code.digest) if code.kind == "zip" else "/")
        environment = dict(process.environment)
        environment |= {
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{box.port}",
            "LAMBDA_TASK_ROOT": path,
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": path,
        }
        environment.pop("LD_LIBRARY_PATH", None)
        if address := environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI"):
            environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = address.replace(f":{API_PORT}/", f":{box.port}/")
        loop = asyncio.get_running_loop()
        box.ends.append(loop.create_future())
        output = _Output(self, id, process.name, box.ends[-1])
        try:
            started, _ = await loop.subprocess_exec(
                lambda: output,
                *arguments,
                cwd=path,
                env=environment,
                stdin=subprocess.DEVNULL,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            box.ends.pop()
            raise Permanent(f"fork/exec {arguments[0]}: {(error.strerror or str(error)).lower()}") from None
        box.processes[process.name] = started
        if id not in self._boxes:  # it was removed meanwhile
            _signal(started, signal.SIGKILL)
            await asyncio.wait([box.ends[-1]])

    def wrote(self, id: str, name: str, data: bytes) -> None:
        if id in self._boxes:
            self.on_output(id, name, data)

    def ended(self, id: str, name: str, code: int) -> None:
        if (box := self._boxes.get(id)) is not None:
            self.on_exit(id, name, code, box.out_of_memory)

    def _arguments(self, function: Function, process: Process) -> list[str]:
        if process.name in self.extensions:
            return [str(self.extensions[process.name])]
        if process.arguments:
            return list(process.arguments)
        command = function.entry_point or self.commands.get(function.runtime, PYTHON)
        return [part.replace("{handler}", function.handler) for part in command]

    def _box(self, id: str) -> _Box:
        box = self._boxes.get(id)
        if box is None:
            raise Gone(f"sandbox {id}")
        return box

    def lines(self, id: str) -> tuple[str, int]:
        path = Path(tempfile.mkdtemp(prefix="havre-lines-")) / "lines"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen(128)
            self._box(id).lines = path
            return str(path), listener.detach()

    def settle(self, id: str) -> None:
        self.calls["settle"] += 1

    def freeze(self, id: str) -> None:
        self._stop(id, signal.SIGSTOP, True)

    def thaw(self, id: str) -> None:
        self._stop(id, signal.SIGCONT, False)

    def _stop(self, id: str, number: int, frozen: bool) -> None:
        box = self._boxes.get(id)
        if box is None or box.frozen == frozen:
            return
        box.frozen = frozen
        self.calls["freeze" if frozen else "thaw"] += 1
        for process in box.processes.values():
            _signal(process, number)

    def memory_peak(self, id: str) -> int:
        return self.peak if id in self._boxes else 0

    def cpu_used(self, id: str) -> float:
        return self.cpu if id in self._boxes else 0.0

    def enis(self) -> Collection[str]:
        return tuple(self.interfaces)

    async def signal(self, id: str, name: str, number: int) -> None:
        await self._begin("signal")
        if (box := self._boxes.get(id)) and (process := box.processes.get(name)):
            _signal(process, number)

    async def clear(self, id: str) -> None:
        await self._begin("clear")
        box = self._box(id)
        self.thaw(id)
        await self._kill(box)
        box.processes.clear()
        box.ends.clear()
        box.out_of_memory = False

    async def _kill(self, box: _Box) -> None:
        for process in box.processes.values():
            _signal(process, signal.SIGKILL)
        if box.ends:
            await asyncio.wait(box.ends)

    async def remove(self, id: str) -> None:
        await self._begin("remove")
        box = self._boxes.pop(id, None)
        if box is None:
            return
        if box.lines is not None:
            shutil.rmtree(box.lines.parent)
        await self._kill(box)

    async def remove_all(self) -> None:
        for id in tuple(self._boxes):
            await self.remove(id)

    async def forget(self, functions: Sequence[str]) -> None:
        self.calls["forget"] += len(functions)

    async def keep_pool(self) -> None:
        await asyncio.get_running_loop().create_future()

    async def close(self) -> None:
        await self.remove_all()


def _unpack(archive: Path, target: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        file.extractall(target)


class _Output(asyncio.SubprocessProtocol):
    """What one process writes, at once, and its end after that."""

    def __init__(self, owner: FakeSandboxes, id: str, name: str, ended: asyncio.Future[None]) -> None:
        self._owner = owner
        self._id = id
        self._name = name
        self._ended = ended
        self._transport: asyncio.SubprocessTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.SubprocessTransport, transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._owner.wrote(self._id, self._name, data)

    def connection_lost(self, error: Exception | None) -> None:
        if self._transport is not None:
            self._owner.ended(self._id, self._name, self._transport.get_returncode() or 0)
            self._transport.close()
        if not self._ended.done():
            self._ended.set_result(None)


def _signal(process: asyncio.SubprocessTransport, number: int) -> None:
    """To it and its children."""
    if process.get_returncode() is None:
        try:
            os.killpg(process.get_pid(), number)
        except ProcessLookupError:
            pass
