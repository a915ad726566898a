"""One sandbox, seen from the node: its first process, and others, what they write and how they end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from havre.engines.oci.channel import Channel
from havre.engines.oci.zygotes import Zygote
from havre.kernel.errors import Gone, Permanent, Temporary

_PIECE = 1 << 16
_BACKLOG = 128
_PATIENCE = 20.0

Told = Callable[["Box", str, bytes], None]
Ended = Callable[["Box", str, int], None]


class Box:
    """``address`` and ``eni`` are those of its interface, "" without one. ``ended`` is called for each process, with its
    exit code, -n for signal n."""

    def __init__(self, id: str, told: Told, ended: Ended) -> None:
        self.id = id
        self.pid = 0
        self.api = -1
        self.cgroups: list[str] = []
        self.address = ""
        self.eni = ""
        self.channel = Channel(self._heard, self._over)
        self.gone = asyncio.get_running_loop().create_future()
        self.running: dict[str, int] = {}
        """Processes by name, with a descriptor of each."""
        self.kills = 0
        """Processes killed for want of memory that were told of."""
        self._pidfd = -1
        self._told = told
        self._ended = ended
        self._answer: asyncio.Future[Mapping[str, Any]] | None = None
        self._started: dict[str, asyncio.Future[None]] = {}
        self._outputs: dict[int, str] = {}

    # --- what is asked of it

    async def made(self) -> None:
        """Raises Temporary, as ``bind`` does."""
        await self._answered()

    async def bind(self, message: Mapping[str, Any], fds: list[int]) -> Mapping[str, Any]:
        try:
            self.channel.send(message, fds)
        except OSError as error:
            raise Temporary(f"the sandbox {self.id} has ended: {error}") from error
        return await self._answered()

    async def _answered(self) -> Mapping[str, Any]:
        self._answer = asyncio.get_running_loop().create_future()
        if self.gone.done():
            raise Temporary(f"the sandbox {self.id} has ended")
        try:
            async with asyncio.timeout(_PATIENCE):
                message = await self._answer
        except TimeoutError:
            raise Temporary(f"the sandbox {self.id} does not answer") from None
        finally:
            self._answer = None
        if "error" in message:
            raise Temporary(f"the sandbox cannot be made: {message['error']}")
        return message

    async def run(self, zygote: Zygote, message: Mapping[str, Any], program: Mapping[str, Any]) -> None:
        """A process in it, by the name ``run`` in ``message``. ``program`` is for the process alone: what the zygote read
        would be found in the memory of all that is forked from it later. Raises Permanent when it cannot start, Temporary,
        Gone."""
        name = str(message["run"])
        out, into = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        started = self._started[name] = asyncio.get_running_loop().create_future()
        self._outputs[out] = name
        asyncio.get_running_loop().add_reader(out, self._read, out)
        self.running[name] = -1
        try:
            try:
                if self._pidfd < 0:
                    raise Gone(f"the sandbox {self.id} has ended")
                os.set_blocking(into, True)
                with _handed(program) as file:
                    zygote.ask({**message, "box": self.id}, [self._pidfd, into, file])
            finally:
                os.close(into)
            async with asyncio.timeout(_PATIENCE):
                await started
        except TimeoutError:
            raise Temporary(f"the sandbox {self.id} does not answer") from None
        except (Permanent, Temporary, Gone):
            self._forget(name)
            self._shut(out)
            raise
        finally:
            self._started.pop(name, None)

    def listener(self, path: str, owner: tuple[int, int]) -> int:
        """A Unix socket that listens inside. Nothing of the function has run yet: nobody can have led the path elsewhere.
        Raises OSError."""
        outside = f"/proc/{self.pid}/root{path}"
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(outside)
            os.chown(outside, *owner)
            listening.listen(_BACKLOG)
            return listening.detach()

    def signal(self, name: str, number: int) -> None:
        pidfd = self.running.get(name, -1)
        if pidfd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, number)

    def kill(self) -> None:
        """Its first process, and so everything in it; ``gone`` is done when it has ended."""
        if self._pidfd >= 0 and not self.gone.done():
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        elif not self.gone.done():
            self.channel.close()
            self._over()

    def close(self) -> None:
        """Lets go of all descriptors; nothing is told of it any more."""
        self._told = self._ended = _nothing
        self.channel.close()
        for out in list(self._outputs):
            self._shut(out)
        for name in list(self.running):
            self._forget(name)
        self._unwatch()
        if self.api >= 0:
            os.close(self.api)
            self.api = -1

    # --- what it says

    def _heard(self, message: Mapping[str, Any], fds: list[int], pid: int) -> None:
        """While it is made: its first process has nothing more to say then, and ends without a word."""
        if fds and self.api < 0 and self._pidfd < 0:
            self._born(fds.pop(), pid)
        for fd in fds:
            os.close(fd)
        if "bound" in message:
            self.channel.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(message)

    def told(self, message: Mapping[str, Any]) -> None:
        """What the zygote says of its processes."""
        if "exit" in message:
            self._exited(str(message["exit"]), int(message["code"]))
        else:
            self._settle(message)

    def _born(self, api: int, pid: int) -> None:
        self.api, self.pid = api, pid
        os.set_blocking(api, False)
        with suppress(ProcessLookupError):
            self._pidfd = os.pidfd_open(pid)
            asyncio.get_running_loop().add_reader(self._pidfd, self._over)

    def _settle(self, message: Mapping[str, Any]) -> None:
        name = str(message.get("started") or message.get("failed"))
        started = self._started.get(name)
        if started is None or started.done():
            return
        if "started" in message:
            with suppress(ProcessLookupError):  # it has ended, and that will be told
                pidfd = os.pidfd_open(int(message["pid"]))
                if name in self.running:
                    self.running[name] = pidfd
                else:
                    os.close(pidfd)
            started.set_result(None)
        else:
            started.set_exception(Permanent(str(message.get("why"))[:1000]))

    def _exited(self, name: str, code: int) -> None:
        if name in self.running:
            self._forget(name)
            self._drain(name)
            self._ended(self, name, code)

    def _forget(self, name: str) -> None:
        pidfd = self.running.pop(name, -1)
        if pidfd >= 0:
            os.close(pidfd)

    def _over(self) -> None:
        """Its first process has ended."""
        if self.gone.done():
            return
        self._unwatch()
        self.channel.close()
        self.gone.set_result(None)
        if self._answer is not None and not self._answer.done():
            self._answer.set_result({"error": "it has ended"})
        for started in self._started.values():
            if not started.done():
                started.set_exception(Gone(f"the sandbox {self.id} has ended"))
        for name in sorted(self.running):
            self._exited(name, -signal.SIGKILL)

    def _unwatch(self) -> None:
        if self._pidfd >= 0:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    # --- what its processes write

    def _read(self, out: int) -> bool:
        """Whether there was something."""
        try:
            data = os.read(out, _PIECE)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if data:
            self._told(self, self._outputs[out], data)
        else:
            self._shut(out)
        return bool(data)

    def _drain(self, name: str) -> None:
        """What was written before the end is told before the end is."""
        for out in [o for o, n in self._outputs.items() if n == name]:
            for _ in range(32):
                if not self._read(out):
                    break

    def _shut(self, out: int) -> None:
        if self._outputs.pop(out, None) is not None:
            asyncio.get_running_loop().remove_reader(out)
            os.close(out)


@contextmanager
def _handed(program: Mapping[str, Any]) -> Iterator[int]:
    """A descriptor from which it can be read."""
    file = os.memfd_create("program", os.MFD_CLOEXEC)
    try:
        os.write(file, json.dumps(program).encode())
        yield file
    finally:
        os.close(file)


def _nothing(*_: object) -> None:
    return None
