"""A command on a terminal (Terminal in engines/ports.py): the runtime's ``exec``, which has one end of a pair of terminals.

The runtime passes on what is typed and written, as it does for whoever types its name. The pair is its controlling terminal:
when this process ends, however it does, the runtime gets SIGHUP, which it passes on too.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import stat
import struct
import subprocess
import termios
import tty
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from havre.engines.aside import aside
from havre.engines.oci.containers import programs
from havre.engines.oci.containers.execs import docker_words
from havre.engines.oci.containers.kept import Kept
from havre.engines.oci.containers.launch import Here
from havre.engines.oci.containers.threads import own_mounts
from havre.kernel.errors import Permanent, Temporary

_PIECE = 64 << 10
_HANGS_UP_WITHIN = 2.0
_FAILED = (126, 127, 255, 1)
_MOST_WORDS = 900
_PSEUDO_TERMINALS = range(136, 144)
"""Major numbers of their devices."""


class OciTerminal:
    """``ours`` is the end of the pair that is read and written here."""

    def __init__(self, here: Here, kept: Kept, command: Sequence[str], size: tuple[int, int]) -> None:
        self._name = kept.record.id[:32]
        self._here = here
        self._bundle = kept.place.bundle
        self._inner: Path = kept.place.path / f"exec-{os.urandom(6).hex()}"
        self._command = command
        self._size = size
        self._runtime: subprocess.Popen[bytes] | None = None
        self._ours = -1
        self._readable, self._writable = asyncio.Event(), asyncio.Event()
        self._shown = False
        self._why = b""
        """The runtime's own words."""
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def begin(self) -> None:
        """Raises OSError."""
        ours, theirs = os.openpty()
        try:
            tty.setraw(theirs)  # the command's own terminal does what terminals do
            self._ours = ours
            self._set_size()
            await aside(lambda: self._start(theirs))
        except BaseException:
            os.close(ours)
            self._ours = -1
            raise
        finally:
            os.close(theirs)
        os.set_blocking(ours, False)
        asyncio.get_running_loop().add_reader(ours, self._readable.set)
        waited = asyncio.ensure_future(aside(self._wait))  # noqa: TID251
        waited.add_done_callback(self._note_end)

    def _start(self, theirs: int) -> None:
        """In a thread of its own."""
        own_mounts()
        described = self._inner.with_suffix(".json")
        described.write_text(json.dumps(self._described()))
        words = [programs.find("setsid") or "setsid", "-c"]
        words += self._here.runtime("--log", str(self._inner.with_suffix(".log")), "exec", "--tty")
        words += ["--process", str(described), "--pid-file", str(self._inner), self._name]
        self._runtime = subprocess.Popen(
            words, env=dict(programs.environment()), stdin=theirs, stdout=theirs, stderr=theirs
        )

    def _described(self) -> Mapping[str, object]:
        """As root, whoever the container's first process is."""
        told = json.loads((self._bundle / "config.json").read_text())["process"]
        environment = [e for e in told.get("env", ()) if not e.startswith("TERM=")] + ["TERM=xterm-256color"]
        if not any(e.startswith("LANG=") for e in environment):
            environment.append("LANG=C.UTF-8")
        columns, rows = self._size
        return {
            **told,
            "args": list(self._command),
            "env": environment,
            "terminal": True,
            "consoleSize": {"height": rows, "width": columns},
            "user": {"uid": 0, "gid": 0},
        }

    def _wait(self) -> int:
        assert self._runtime is not None, "it was started"
        code = self._runtime.wait()
        log = self._inner.with_suffix(".log")
        with suppress(OSError), log.open("rb") as file:
            self._why = file.read(_MOST_WORDS)
        for path in (self._inner, self._inner.with_suffix(".json"), log):
            path.unlink(missing_ok=True)
        return code if code >= 0 else 128 - code

    def _note_end(self, waited: asyncio.Future[int]) -> None:
        if not self._ended.done():
            self._ended.set_result(waited.result() if not waited.cancelled() and not waited.exception() else 137)
        self._readable.set()

    # --- the port

    async def read(self) -> bytes:
        piece = await self._piece()
        if not piece and not self._shown and await self.ended() in _FAILED and self._why:
            raise Permanent(docker_words(_FAILED[0], self._why).decode(errors="replace").strip())
        self._shown = self._shown or bool(piece)
        return piece

    async def _piece(self) -> bytes:
        while self._ours >= 0:
            self._readable.clear()
            try:
                return os.read(self._ours, _PIECE)
            except BlockingIOError:
                if self._ended.done():
                    return b""
                await self._readable.wait()
            except OSError:  # all who had the other end have closed it
                break
        return b""

    async def write(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        while data and self._ours >= 0 and not self._ended.done():
            try:
                data = data[os.write(self._ours, data) :]
            except BlockingIOError:
                self._writable.clear()
                loop.add_writer(self._ours, self._writable.set)
                try:
                    await self._writable.wait()
                finally:
                    if self._ours >= 0:
                        loop.remove_writer(self._ours)
            except OSError:
                return

    async def resize(self, columns: int, rows: int) -> None:
        self._size = (columns, rows)
        if self._ours >= 0:
            self._set_size()
            with suppress(OSError, ValueError):
                _resize_of(int(self._inner.read_text()), columns, rows)

    def _set_size(self) -> None:
        with suppress(OSError):
            _resize(self._ours, *self._size)

    async def ended(self) -> int:
        return await asyncio.shield(self._ended)

    async def close(self) -> None:
        """The command is told, not the runtime: that tells of its end."""
        for number in (signal.SIGHUP, signal.SIGKILL):
            if self._ended.done():
                break
            with suppress(OSError, ValueError):
                os.kill(int(self._inner.read_text()), number)
            with suppress(TimeoutError):
                async with asyncio.timeout(_HANGS_UP_WITHIN):
                    await self.ended()
        if self._ours >= 0:
            ours, self._ours = self._ours, -1
            asyncio.get_running_loop().remove_reader(ours)
            asyncio.get_running_loop().remove_writer(ours)
            os.close(ours)
            self._readable.set()
            self._writable.set()


def _resize(terminal: int, columns: int, rows: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def _resize_of(pid: int, columns: int, rows: int) -> None:
    """The terminal of this process, which runtimes do not all pass the size on to. Raises OSError."""
    place = Path(f"/proc/{pid}/fd/0")
    seen = place.stat()
    if not stat.S_ISCHR(seen.st_mode) or os.major(seen.st_rdev) not in _PSEUDO_TERMINALS:
        return
    terminal = os.open(place, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _resize(terminal, columns, rows)
    finally:
        os.close(terminal)


async def open_terminal(here: Here, kept: Kept, command: Sequence[str], size: tuple[int, int]) -> OciTerminal:
    """Raises Permanent, Temporary."""
    if not command:
        raise Permanent("No exec command specified")
    terminal = OciTerminal(here, kept, command, size)
    try:
        await terminal.begin()
    except OSError as error:
        raise Temporary(f"the command cannot be run: {error}") from error
    return terminal
