"""The processes that sandboxes are forked from: one in Havre's own interpreter, one in each Python runtime in use."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from havre.engines.oci import init, seccomp, zygote
from havre.engines.oci.channel import Channel
from havre.engines.sandbox import API_PORT
from havre.kernel.errors import Temporary

PLAIN = ""
"""The kind that sandboxes are forked from, and any program; others are the names of runtimes."""
ENVIRONMENT = {
    "LANG": "en_US.UTF-8",
    "TZ": ":/etc/localtime",
    "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
    "LD_LIBRARY_PATH": "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
    "PYTHONPATH": "/var/runtime",
}
"""Of a warmed-up interpreter: what is read once, when it starts."""
_API = f"127.0.0.1:{API_PORT}"
_READ_AT_START = ("PYTHON", "LD_", "MALLOC_", "GLIBC_")
_PACKAGE = zygote.__name__
_MAIN = f"""
import sys
for part in sys.argv.pop(1).split():
    name, fd = part.split("=")
    module = sys.modules[name] = type(sys)(name)
    exec(compile(open(int(fd), "rb").read(), name, "exec"), module.__dict__)
for name in [name for name in sys.modules if name.startswith("{_PACKAGE}")]:
    del sys.modules[name]  # a function sees none of it
job = module.main()
if job is not None:
    job()
"""
_PATIENCE = 30.0
UID, GID = 993, 990
"""Whom functions run as: AWS's sbx_user1051."""


def warm_enough(environment: Mapping[str, str]) -> bool:
    """Whether an interpreter that was started without knowing them may take these variables on."""
    if "AWS_LAMBDA_EXEC_WRAPPER" in environment or environment.get("AWS_LAMBDA_RUNTIME_API") != _API:
        return False
    early = {k: v for k, v in environment.items() if k.startswith(_READ_AT_START)}
    return all(ENVIRONMENT.get(k) == v for k, v in early.items())


class Zygote:
    """``root`` is the root file system of a runtime whose interpreter it is; None: Havre's own. ``told`` is
    called with what it says of processes in sandboxes, ``ended`` when it has ended and nobody had asked it to."""

    def __init__(self, root: Path | None, told: Callable[[Mapping[str, Any]], None], ended: Callable[[], None]) -> None:
        self._root = root
        self._tell = told
        self._over = ended
        self._channel: Channel | None = None
        self._ready: asyncio.Future[None] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """0 while it does not run."""
        return self._process.pid if self._process is not None else 0

    async def ready(self) -> None:
        """Starts it where it does not run. Raises Temporary, Permanent."""
        if self._ready is None:
            self._start()
        assert self._ready is not None, "it was just made"
        try:
            async with asyncio.timeout(_PATIENCE):
                await asyncio.shield(self._ready)
        except TimeoutError:
            self.close()
            raise Temporary(f"the interpreter in {self._root or 'Havre'} does not get ready") from None

    def ask(self, message: Mapping[str, Any], fds: Sequence[int]) -> None:
        """For one sandbox more, or a process in one. Raises Temporary."""
        try:
            if self._channel is None:
                raise OSError("it has ended")
            self._channel.send(message, fds)
        except OSError as error:
            raise Temporary(f"nothing can be forked: {error}") from error

    def _start(self) -> None:
        settings = {"seccomp": b64encode(seccomp.program()).decode(), "uid": UID, "gid": GID}
        first = init.open_program()
        channel = self._channel = Channel(self._told, self._ended_by_itself)
        self._ready = asyncio.get_running_loop().create_future()
        host = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        sources = _sources()
        try:
            fds = [channel.theirs.fileno(), host]
            parts = " ".join(f"{name}={fd}" for name, fd in sources.items())
            self._process = subprocess.Popen(
                [*self._interpreter(), "-c", _MAIN, parts, *map(str, fds)],
                stdin=subprocess.DEVNULL,
                pass_fds=[*sources.values(), *fds],
                env=ENVIRONMENT if self._root else {"LANG": "C.UTF-8"},
                cwd="/",
                start_new_session=True,
            )
            channel.handed()
            channel.send({**settings, "warm": self._root is not None}, [first])
        except OSError as error:
            self.close()
            raise Temporary(f"no interpreter starts in {self._root or 'Havre'}: {error}") from error
        finally:
            for fd in (host, *sources.values(), first):
                os.close(fd)

    def _interpreter(self) -> list[str]:
        if self._root is None:
            return [sys.executable, "-I", "-S"]
        chroot = shutil.which("chroot", path="/usr/sbin:/usr/bin:/sbin:/bin") or "chroot"
        return [chroot, str(self._root), "/var/lang/bin/python3"]

    def _told(self, message: Mapping[str, Any], fds: list[int], pid: int) -> None:
        if "ready" not in message:
            self._tell(message)
        elif self._ready is not None and not self._ready.done():
            self._ready.set_result(None)

    def _ended_by_itself(self) -> None:
        self._ended()
        self._over()

    def _ended(self) -> None:
        ready, self._ready, self._channel = self._ready, None, None
        if ready is not None and not ready.done():
            ready.set_exception(Temporary(f"the interpreter in {self._root or 'Havre'} has ended while it started"))
        self._reap()

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._ended()

    def _reap(self) -> None:
        """It ends by itself when nobody holds the other side."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(2.0)


def _sources() -> dict[str, int]:
    """Its modules by name, as open files: in a runtime there are no others of Havre's."""
    directory = Path(zygote.__file__).parent
    opened = {name: os.open(directory / f"{name}.py", os.O_RDONLY | os.O_CLOEXEC) for name in zygote.MODULES}
    return {f"{_PACKAGE}.{name}": fd for name, fd in opened.items()}
