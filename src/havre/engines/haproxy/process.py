"""The proxy's processes: a master and its worker, started, reloaded, found again, ended; and its runtime API."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from havre.engines.haproxy.plan import ADMIN, MASTER
from havre.kernel.errors import Permanent, Temporary

CONFIG = "haproxy.cfg"
LOG = "haproxy.log"
_LOG_LIMIT = 1 << 20
_BATCH = 12_000  # bytes of commands in one line; the proxy takes a buffer full
_TICK = 0.004


class Proxy:
    """All files lie in ``directory`` (0700). The processes outlive this object unless ``stop`` is called."""

    def __init__(self, directory: Path, binary: str = "haproxy") -> None:
        self.directory = directory
        self.files = directory / "files"
        self._binary = binary
        self._child: subprocess.Popen[bytes] | None = None
        self.master = 0

    @property
    def running(self) -> bool:
        if self._child is not None and self._child.poll() is not None:
            self._child, self.master = None, 0
        return bool(self.master) and _alive(self.master)

    def write(self, text: str, files: Mapping[str, bytes]) -> None:
        """The configuration and what it refers to. Files that it no longer names go with the next write."""
        for path in (self.directory, self.files):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        stale = {path.name for path in self.files.iterdir()} - set(files)
        for file, content in files.items():
            if not (self.files / file).exists():
                _write(self.files / file, content)
        _write(self.directory / CONFIG, text.encode())
        for file in stale:
            (self.files / file).unlink(missing_ok=True)
        log = self.directory / LOG
        if log.exists() and log.stat().st_size > _LOG_LIMIT:
            os.truncate(log, 0)

    async def adopt(self) -> bool:
        """Find the proxy that an earlier process of this instance left; whether there was one that answers."""
        with contextlib.suppress(OSError, Temporary):
            for line in (await self._ask(MASTER, "show proc")).splitlines():
                words = line.split()
                if len(words) > 1 and words[1] == "master" and self._is_ours(int(words[0])):
                    self.master = int(words[0])
                    return True
        await self.sweep()
        return False

    async def start(self) -> None:
        """Raises Permanent when there is no proxy on this machine or it refuses the configuration."""
        if shutil.which(self._binary) is None:
            raise Permanent(f"{self._binary} is not installed")
        await self.sweep()
        command = [self._binary, "-W", "-S", f"unix@{MASTER},mode,600", "-f", str(self.directory / CONFIG)]
        with _fresh(self.directory / LOG, os.O_APPEND) as log:  # appending, for it may be cut
            self._child = subprocess.Popen(  # noqa: ASYNC220  a fork of milliseconds, and the child outlives this loop
                command,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.master = self._child.pid
        await self._until(lambda pid, _: pid != 0)

    async def reload(self) -> None:
        """A new worker takes the listening sockets over; the old one finishes its requests. Raises Permanent, and goes on
        as before, when the configuration is refused."""
        before, failed = await self._worker()
        log = self.directory / LOG
        start = log.stat().st_size if log.exists() else 0
        os.kill(self.master, signal.SIGUSR2)

        def refused() -> bool:
            return b"[ALERT]" in log.read_bytes()[start:]

        # the master counts a reload as failed from its begin until it has succeeded
        await self._until(lambda pid, failures: pid not in (0, before) or (failures > failed and refused()))
        if (await self._worker())[0] in (0, before):
            raise Permanent(f"the proxy refused its configuration: {self._complaint()}")

    async def command(self, commands: Sequence[str]) -> str:
        """Runtime commands in order; what the proxy says. Raises Temporary when it does not answer."""
        said, line = [], ""
        for command in [*commands, ""]:
            if line and (not command or len(line) + len(command) > _BATCH):
                said.append(await self._ask(ADMIN, line))
                line = ""
            line += (";" if line else "") + command
        return "".join(said)

    async def ended(self) -> None:
        """Returns when the master is dead."""
        if not self.running:
            return
        try:
            fd = os.pidfd_open(self.master)
        except ProcessLookupError:
            return
        loop, dead = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(fd, dead.set)
        try:
            await dead.wait()
        finally:
            loop.remove_reader(fd)
            os.close(fd)

    async def stop(self, grace: float = 1.0) -> None:
        """Let requests finish for ``grace`` seconds at most, then end all of it."""
        if self.running:
            os.kill(self.master, signal.SIGUSR1)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self.ended()
        await self.sweep()
        self._child, self.master = None, 0

    def clear(self) -> None:
        """Take away what was written; for a proxy that has been stopped."""
        shutil.rmtree(self.directory, ignore_errors=True)

    async def sweep(self) -> None:
        """End every process that has our configuration file; returns when they are gone."""
        while left := self._leftovers():
            for pid in left:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(_TICK)
            if self._child is not None:
                self._child.poll()

    async def _until(self, done: Callable[[int, int], bool]) -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if not self.running:
                raise Permanent(f"the proxy does not start: {self._complaint()}")
            if done(*await self._worker()):
                return
            await asyncio.sleep(_TICK)
        raise Temporary("the proxy does not answer", after=1)

    async def _worker(self) -> tuple[int, int]:
        """(pid of the worker that takes new connections, 0 when there is none; how many reloads failed)."""
        pid, failed, section = 0, 0, ""
        try:
            lines = (await self._ask(MASTER, "show proc")).splitlines()
            for line in lines:
                words = line.split()
                if line.startswith("#"):
                    section = line
                elif len(words) > 1 and words[1] == "master" and "[failed:" in line:
                    failed = int(line.split("[failed:")[1].split("]")[0])
                elif len(words) > 1 and words[1] == "worker" and section == "# workers":
                    pid = int(words[0])
            return (pid if pid and f"Pid: {pid}\n" in await self._ask(ADMIN, "show info") else 0), failed
        except (OSError, Temporary):
            return 0, failed

    async def _ask(self, name: str, line: str) -> str:
        try:
            async with asyncio.timeout(10):
                with _short(self.directory) as directory:
                    reader, writer = await asyncio.open_unix_connection(f"{directory}/{name}")
                try:
                    writer.write(line.encode() + b"\n")
                    writer.write_eof()
                    return (await reader.read(-1)).decode()
                finally:
                    writer.close()
        except (OSError, TimeoutError) as error:
            raise Temporary(f"the proxy does not answer: {error}") from error

    def _complaint(self) -> str:
        with contextlib.suppress(OSError):
            lines = (self.directory / LOG).read_text(errors="replace").splitlines()
            alerts = [line.partition(": ")[2] or line for line in lines if "[ALERT]" in line]
            return "; ".join(alerts[-4:]) or "no reason given"
        return "no reason given"

    def _is_ours(self, pid: int) -> bool:
        with contextlib.suppress(OSError):
            return str(self.directory / CONFIG).encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return False

    def _leftovers(self) -> list[int]:
        """Masters and workers with our configuration file, but for the child of this object."""
        return [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and self._is_ours(int(p.name))]


def _alive(pid: int) -> bool:
    """Whether it runs: one that nobody has waited for yet, as an adopted one may be for long, is dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def _fresh(path: Path, flags: int = 0) -> BinaryIO:
    """An empty file, for this user only."""
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | flags, 0o600), "wb")


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, for this user only."""
    temporary = path.with_name(path.name + ".new")
    with _fresh(temporary) as file:
        file.write(content)
    temporary.replace(path)


@contextlib.contextmanager
def _short(directory: Path) -> Iterator[str]:
    """The directory by a name short enough for a Unix socket's path."""
    if len(str(directory)) < 80:
        yield str(directory)
        return
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)
