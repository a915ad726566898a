"""Further commands in a container: Docker's exec, and Terminal (engines/ports.py) on it.

An engine lets a command on a terminal run on when the connection to it is gone, whoever held that: the commands of a
process that was killed are known by their mark, and hung up by its successor.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import signal
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from havre.engines.docker.client import Docker, Refused
from havre.engines.docker.framing import demultiplexed
from havre.kernel.errors import Gone, Permanent, Temporary

log = logging.getLogger("havre.node")

ENVIRONMENT = ["TERM=xterm-256color"]
ROOT = "0:0"
MARK = b"\x1e\x1f\x1d\x1f\x1e"
"""What detaches, in place of Docker's ctrl-p ctrl-q, which people type (Docker keeps a ctrl-p to itself until the next
key): nobody types this. It is shown with the command, so that it tells which ones are ours as well."""
_DETACH = ",".join(f"ctrl-{chr(key + 64)}" for key in MARK)
_PIECE = 64 << 10
_HEAD = 64 << 10
_PATIENCE = 60.0
_LOOKS = 40
_LOOK = 0.05
_HANGS_UP_WITHIN = 2.0
_FAILED = b"OCI runtime exec failed: "
"""How an engine begins to say, where the command's output would be, that there is none."""
_MOST_WORDS = 2000
_MOST_OUTPUT = 1 << 20


class DockerTerminal:
    """``of`` is told when it has been closed."""

    def __init__(self, of: Terminals, id: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._of = of
        self._docker = of.docker
        self._id = id
        self._reader = reader
        self._writer = writer
        self._begun = False

    async def read(self) -> bytes:
        try:
            piece = await self._reader.read(_PIECE)
        except OSError:
            piece = b""
        if not self._begun and piece.startswith(_FAILED):
            raise Permanent((await self._rest(piece)).decode(errors="replace").strip())
        self._begun = True
        return piece

    async def _rest(self, words: bytes) -> bytes:
        with suppress(OSError):
            while len(words) < _MOST_WORDS and (more := await self._reader.read(_MOST_WORDS)):
                words += more
        return words

    async def write(self, data: bytes) -> None:
        if not self._writer.is_closing():
            with suppress(OSError):
                self._writer.write(data)
                await self._writer.drain()

    async def resize(self, columns: int, rows: int) -> None:
        """An engine refuses for as long as the command is not there yet, and when it has ended."""
        for _ in range(_LOOKS):
            try:
                await self._docker.call("POST", f"/exec/{self._id}/resize", {"h": rows, "w": columns})
                return
            except (Refused, Gone):
                if (await self._seen())["ExitCode"] is not None:
                    return
                await asyncio.sleep(_LOOK)

    async def ended(self) -> int:
        while True:
            seen = await self._seen()
            if not seen["Running"] and seen["ExitCode"] is not None:
                return int(seen["ExitCode"])
            await asyncio.sleep(_LOOK)

    async def _seen(self) -> dict[str, Any]:
        return await _seen(self._docker, self._id)

    async def close(self) -> None:
        """An engine lets a command run on whose connection was closed: its processes are told here."""
        try:
            await _hang_up(self._docker, self._id)
        except BaseException:
            self._of.left(self._id)
            raise
        finally:
            self._writer.close()
        self._of.closed(self._id)


class Terminals:
    """The commands on terminals of an engine: those of this process, and those that one before it has left."""

    def __init__(self, docker: Docker) -> None:
        self.docker = docker
        self._open: set[str] = set()
        self.strays = True
        """Whether one may have lost its session."""

    async def open(self, container: str, command: Sequence[str], columns: int, rows: int) -> DockerTerminal:
        """Raises Gone, Permanent, Temporary."""
        docker = self.docker
        body = {
            "Cmd": list(command),
            "AttachStdin": True,
            "AttachStdout": True,
            "AttachStderr": True,
            "Tty": True,
            "User": ROOT,
            "Env": await _environment(docker, container),
            "ConsoleSize": [rows, columns],
            "DetachKeys": _DETACH,
        }
        id = str((await docker.call("POST", f"/containers/{container}/exec", body=body))["Id"])
        self._open.add(id)
        try:
            start = {"Detach": False, "Tty": True, "ConsoleSize": [rows, columns]}
            reader, writer = await _begin(docker, f"/v{await docker.version()}/exec/{id}/start", start)
        except BaseException:
            self.left(id)
            raise
        terminal = DockerTerminal(self, id, reader, writer)
        await terminal.resize(columns, rows)  # of engines that do not know ConsoleSize, those before API 1.42
        return terminal

    def closed(self, id: str) -> None:
        self._open.discard(id)

    def left(self, id: str) -> None:
        """It could not be hung up, or may have begun though nobody has said so."""
        self._open.discard(id)
        self.strays = True

    async def hang_up_strays(self, containers: Iterable[str]) -> None:
        """In these containers, which are all that there are. Raises Temporary, Permanent."""
        self.strays = False
        try:
            for container in containers:
                await self._hang_up_in(container)
        except BaseException:
            self.strays = True
            raise

    async def _hang_up_in(self, container: str) -> None:
        try:
            described = await self.docker.call("GET", f"/containers/{container}/json")
        except Gone:
            return
        for id in described.get("ExecIDs") or ():
            seen = await _seen(self.docker, id)
            ours = seen.get("DetachKeys") == base64.b64encode(MARK).decode()
            if ours and seen["Running"] and id not in self._open:
                log.info("a command in container %s has lost its session: it is hung up", described["Name"])
                await _hang_up(self.docker, id)


async def _seen(docker: Docker, id: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = await docker.call("GET", f"/exec/{id}/json")
        return found
    except Gone:  # as its container is
        return {"Running": False, "ExitCode": 137, "Pid": 0}


async def _hang_up(docker: Docker, id: str) -> None:
    """SIGHUP, and soon after SIGKILL, for a command that still runs."""
    if await _signal(docker, id, signal.SIGHUP):
        with suppress(TimeoutError):
            async with asyncio.timeout(_HANGS_UP_WITHIN):
                while (await _seen(docker, id))["Running"]:  # noqa: ASYNC110 (an engine tells of no end)
                    await asyncio.sleep(_LOOK)
        await _signal(docker, id, signal.SIGKILL)


async def _signal(docker: Docker, id: str, number: signal.Signals) -> bool:
    """Whether it ran. The pid is looked up again once nobody else can get it."""
    pid = int((await _seen(docker, id)).get("Pid") or 0)
    if pid <= 1:
        return False
    try:
        held = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        seen = await _seen(docker, id)
        if not seen["Running"] or seen.get("Pid") != pid:
            return False
        with suppress(OSError):
            signal.pidfd_send_signal(held, number)
        return True
    finally:
        os.close(held)


async def run_in(docker: Docker, container: str, command: Sequence[str]) -> tuple[int, bytes]:
    """Without a terminal: its exit code, and what it wrote. Raises Gone, Permanent, Temporary."""
    body = {"Cmd": list(command), "AttachStdout": True, "AttachStderr": True}
    made = await docker.call("POST", f"/containers/{container}/exec", body=body)
    output, size = [], 0
    start = {"Detach": False, "Tty": False}
    async with docker.stream("POST", f"/exec/{made['Id']}/start", body=start) as pieces:
        async for piece in pieces:
            size += len(piece)
            if size <= _MOST_OUTPUT:
                output.append(piece)
    ended = await docker.call("GET", f"/exec/{made['Id']}/json")
    if ended["ExitCode"] is None:
        raise Temporary("the engine ended the command's output before the command ended")
    return int(ended["ExitCode"]), demultiplexed(b"".join(output))


async def _environment(docker: Docker, container: str) -> list[str]:
    found = await docker.call("GET", f"/containers/{container}/json")
    has = any(each.startswith("LANG=") for each in found["Config"].get("Env") or ())
    return ENVIRONMENT if has else [*ENVIRONMENT, "LANG=C.UTF-8"]


async def _begin(docker: Docker, path: str, body: dict[str, Any]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that belongs to the command from now on."""
    content = msgspec.json.encode(body)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    try:
        reader, writer = await asyncio.open_unix_connection(docker.socket, limit=_HEAD)
    except OSError as error:
        raise Temporary(f"Cannot connect to the Docker daemon at unix://{docker.socket}: {error}") from None
    try:
        writer.write(head.encode() + content)
        async with asyncio.timeout(_PATIENCE):
            answer = await reader.readuntil(b"\r\n\r\n")
            status = int(answer.split(b" ", 2)[1])
            if status in (101, 200):
                return reader, writer
            said = await reader.read(_MOST_WORDS)
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError, ValueError) as error:
        writer.close()
        raise Temporary(f"the engine did not begin the command: {error}") from None
    except BaseException:
        writer.close()
        raise
    writer.close()
    raise _error(status, said)


def _error(status: int, said: bytes) -> Exception:
    try:
        words = str(msgspec.json.decode(said)["message"]).strip()
    except (msgspec.DecodeError, KeyError, TypeError):
        words = said.decode(errors="replace").strip() or f"HTTP status {status}"
    return Gone(words) if status == 404 else Refused(status, words)
