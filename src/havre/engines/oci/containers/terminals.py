"""A command on a terminal (Terminal in engines/ports.py): the runtime's ``exec``.

crun hands over its end of the command's terminal: it would pass on what is written, but not what it has not seen when the
command ends, and of a busy machine's quick commands that is all. When this process ends, however it does, the kernel hangs
up. runc hands over nothing that it waits for; it has one end of a pair of terminals of ours, and passes on what is typed and
written, as for whoever types its name. The pair is its controlling terminal: it gets SIGHUP, which it passes on too.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import re
import signal
import socket
import stat
import struct
import subprocess
import termios
import tty
from collections.abc import Callable, Mapping, Sequence
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
_LOOKS_EVERY = 0.1
_FAILED = (126, 127, 255, 1)
_MOST_WORDS = 900
_COMPLAINS = re.compile(rb"\x1b\[1;31m\d{4}-\d\d-\d\dT[\d:.]+Z: ")
"""How crun tells the terminal, too, why there is no command."""
_PSEUDO_TERMINALS = range(136, 144)
"""Major numbers of their devices."""


class _Console:
    """Where crun brings its end of a terminal. ``run``: a directory with a short path."""

    def __init__(self, run: Path) -> None:
        self.path = run / f"tty-{os.urandom(6).hex()}"
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(self.path))
        self._socket.listen(1)
        self._socket.settimeout(_LOOKS_EVERY)

    def received(self, runtime: subprocess.Popen[bytes]) -> int:
        """Its descriptor; -1 when the runtime has ended without. In a thread of its own."""
        try:
            while True:
                ended = runtime.poll() is not None  # what it sent before is there
                try:
                    connection, _ = self._socket.accept()
                except TimeoutError:
                    if ended:
                        return -1
                    continue
                with connection:
                    _, found, _, _ = socket.recv_fds(connection, _PIECE, 1, socket.MSG_CMSG_CLOEXEC)
                    return found[0] if found else -1
        finally:
            self.close()

    def close(self) -> None:
        self._socket.close()
        self.path.unlink(missing_ok=True)


class OciTerminal:
    """``ours`` is the end that is read and written here; it is ``there`` once it has come, or will not."""

    def __init__(self, here: Here, kept: Kept, command: Sequence[str], size: tuple[int, int]) -> None:
        self._name = kept.record.id[:32]
        self._here = here
        self._bundle = kept.place.bundle
        self._inner: Path = kept.place.path / f"exec-{os.urandom(6).hex()}"
        self._command = command
        self._size = size
        self._runtime: subprocess.Popen[bytes] | None = None
        self._ours = -1
        self._there = asyncio.Event()
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._readable, self._writable = asyncio.Event(), asyncio.Event()
        self._shown = False
        self._why = b""
        """The runtime's own words."""
        self._ended: asyncio.Future[int] = self._loop.create_future()

    async def begin(self) -> None:
        """Raises OSError."""
        if programs.is_crun(programs.runtime()):
            await self._begin_handed(_Console(self._here.run))
        else:
            await self._begin_pair()

    async def _begin_handed(self, console: _Console) -> None:
        nothing = os.open(os.devnull, os.O_RDWR)
        try:
            await aside(lambda: self._start(nothing, "--console-socket", str(console.path)))
        except BaseException:
            console.close()
            raise
        finally:
            os.close(nothing)

        def wait() -> int:
            assert self._runtime is not None, "it was started"
            ours = console.received(self._runtime)
            if ours >= 0:
                with suppress(OSError):  # at once: the command has begun
                    _resize(ours, *self._size)
            self._loop.call_soon_threadsafe(self._take, ours)
            return self._wait()

        self._watch(wait)

    async def _begin_pair(self) -> None:
        ours, theirs = os.openpty()
        try:
            tty.setraw(theirs)  # the command's own terminal does what terminals do
            self._take(ours)
            await aside(lambda: self._start(theirs))
        except BaseException:
            self._let_go()
            raise
        finally:
            os.close(theirs)
        self._watch(self._wait)

    def _take(self, ours: int) -> None:
        """-1 for none."""
        if self._closed and ours >= 0:
            os.close(ours)
        elif ours >= 0:
            self._ours = ours
            self._set_size()
            os.set_blocking(ours, False)
            self._loop.add_reader(ours, self._readable.set)
        self._there.set()

    def _watch(self, wait: Callable[[], int]) -> None:
        waited = asyncio.ensure_future(aside(wait))  # noqa: TID251
        waited.add_done_callback(self._note_end)

    def _start(self, theirs: int, *console: str) -> None:
        """In a thread of its own."""
        own_mounts()
        described = self._inner.with_suffix(".json")
        described.write_text(json.dumps(self._described()))
        words = [programs.find("setsid") or "setsid", *([] if console else ["-c"])]
        words += self._here.runtime("--log", str(self._inner.with_suffix(".log")), "exec", "--tty")
        words += [*console, "--process", str(described), "--pid-file", str(self._inner), self._name]
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
        begins = not self._shown and (not piece or _COMPLAINS.match(piece) is not None)
        if begins and await self.ended() in _FAILED and self._why:
            raise Permanent(docker_words(_FAILED[0], self._why).decode(errors="replace").strip())
        self._shown = self._shown or bool(piece)
        return piece

    async def _piece(self) -> bytes:
        await self._there.wait()
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
        await self._there.wait()
        while data and self._ours >= 0 and not self._ended.done():
            try:
                data = data[os.write(self._ours, data) :]
            except BlockingIOError:
                self._writable.clear()
                self._loop.add_writer(self._ours, self._writable.set)
                try:
                    await self._writable.wait()
                finally:
                    if self._ours >= 0:
                        self._loop.remove_writer(self._ours)
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
        self._let_go()

    def _let_go(self) -> None:
        self._closed = True
        if self._ours >= 0:
            ours, self._ours = self._ours, -1
            self._loop.remove_reader(ours)
            self._loop.remove_writer(ours)
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
