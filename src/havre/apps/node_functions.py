"""The node's end of what runs functions, put together."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import os
import resource
import socket
import stat
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import msgspec

from havre.apps.config import FILES, Config, system_world
from havre.control.functions import questions, sealed_archives
from havre.control.functions.debugging import DebugDoors
from havre.control.functions.lines import LineSpool
from havre.control.functions.link import FunctionLink, FunctionLinkParts
from havre.control.functions.parts import Parts
from havre.control.functions.plane import Plane
from havre.control.nodelink.client import Link
from havre.control.nodelink.spool import Spool
from havre.control.workloads.networks import Networks
from havre.core.environments import Rules
from havre.dataplanes.runtime_api import open_api
from havre.engines.groups import MOUNT
from havre.engines.host_network import HostNetwork
from havre.engines.host_network.namespaces import inside
from havre.engines.memory import MEMINFO, available_memory, total_memory
from havre.engines.oci.engine import OciEngine
from havre.engines.oci.zygotes import GID, UID
from havre.engines.sandbox import Sandbox, SandboxEngine
from havre.engines.shares import Shares
from havre.kernel.errors import Permanent, Temporary
from havre.kernel.function import Code, Function
from havre.kernel.quantities import MIB
from havre.kernel.workload import Interface, Registry, Share
from havre.kernel.world import World

log = logging.getLogger("havre.functions")

_SHORT, _SCARCE = 0.08, 0.04
"""Of the machine's memory: when less is available, idle environments go early; none begins but in another's place."""
_LOOKED = 0.2
"""Seconds for which what is available is taken to be so."""
_OVERCOMMIT = 8
"""A function's memory is its bound, not what it uses: environments may have this many times the machine's together."""
_DESCRIPTORS, _OTHERS = 8, 256
"""That an environment takes (six, and some while it begins), and all else in the process."""
_ASK_AGAIN = 0.01
_steady = partial(time.clock_gettime, time.CLOCK_BOOTTIME)
"""Goes on while the machine sleeps, as the time does at which credentials end."""
_SKIPPED = frozenset({"__pycache__", ".git"})
_SHALLOW = frozenset({"node_modules", "site-packages", ".venv", "venv"})
"""Directories of what is not edited: looked at from outside alone."""


class FunctionInterfaces:
    """``Interfaces`` of control/functions/environment.py: EC2 knows of each, the VPC is built before it is used."""

    def __init__(self, link: Link, networks: Networks) -> None:
        self._link = link
        self._networks = networks

    async def take(self, function: Function) -> Interface:
        made = msgspec.convert(await self._link.ask(questions.INTERFACE, function.id), Interface)
        try:
            await self._networks.ready(made.vpc)
        except (Permanent, Temporary):
            await self.give_back(function, made)
            raise
        return made

    async def give_back(self, function: Function, interface: Interface) -> None:
        await self._link.ask(questions.NO_INTERFACE, interface.eni)


class FunctionSources:
    """Where the engine gets functions' files (``Sources`` in engines/sandbox.py): the server's store of code is on this
    machine's disk, its registry is asked for."""

    def __init__(self, archives: Path, link: Link) -> None:
        self._archives = archives
        self._link = link

    async def archive(self, code: Code) -> Path:
        """Raises Permanent, Temporary."""
        path = self._archives / code.kept
        if len(code.kept) != 64 or not code.kept.isalnum() or not path.is_file():
            raise Permanent(f"the archive {code.kept} is not there")
        return await self._opened(path, code) if code.sealed else path

    async def _opened(self, path: Path, code: Code) -> Path:
        """What a key of the user's has encrypted, in a file of its own."""
        found: Mapping[str, str] = await self._link.ask(questions.CODE, code.sealed)
        try:
            return await asyncio.to_thread(_unsealed, path, base64.b64decode(found["key"]), code.digest)
        except (OSError, ValueError) as error:
            raise Permanent(f"the archive {code.sealed} cannot be opened: {error}") from None

    async def registry(self, image: str) -> tuple[str, Registry | None]:
        """Raises Permanent, Temporary."""
        found: Mapping[str, str] = await self._link.ask(questions.REGISTRY, image)
        if not found:
            return image, None
        return f"{found['server']}/{image.partition('/')[2]}", Registry(**found)


def _unsealed(path: Path, key: bytes, digest: str) -> Path:
    """Raises OSError, ValueError."""
    data = sealed_archives.opened(path, key)
    if sealed_archives.digest(data) != digest:
        raise ValueError("it is another archive")
    made, name = tempfile.mkstemp(prefix=f".{digest}.", dir=path.parent)
    with open(made, "wb") as file:
        file.write(data)
    return Path(name)


def sandboxes(config: Config, link: Link, network: HostNetwork) -> SandboxEngine:
    """Without networks of its own a sandbox reaches nothing, which beats no sandbox."""
    directory = config.state / "sandboxes"
    sources = FunctionSources(config.state / "functions", link)
    return OciEngine(config.site.instance, directory, sources, None if network.available() else network)


class RoleCredentials:
    """Asked of the server over the node link, and kept for who needs some while half of their time is left; while the server
    is not there, to their end."""

    def __init__(self, link: Link, world: World) -> None:
        self._link = link
        self._world = world
        self._known: dict[str, tuple[float, float, Mapping[str, str | float]]] = {}
        """By function: when new ones are asked for, and when these end."""

    async def __call__(self, function: Function) -> Mapping[str, str | float]:
        """Raises Permanent, Temporary."""
        if not function.role:
            return {}
        now = self._world.now()
        half, end, known = self._known.get(function.id, (0.0, 0.0, {}))
        if now < half:
            return known
        try:
            found: Mapping[str, str | float] = await self._link.ask(questions.CREDENTIALS, function.id)
        except Temporary:
            if self._world.now() < end:
                return known
            raise
        now, end = self._world.now(), float(found.get("Expiration", now))
        self._known = {id: entry for id, entry in self._known.items() if entry[1] > now}
        self._known[function.id] = ((now + end) / 2, end, found)
        return found


class NodeFunctions:
    def __init__(self, config: Config, engine: SandboxEngine, link: Link, networks: Networks, spool: Spool) -> None:
        self.engine = engine
        self._link = link
        self._shares = Shares(config.state / FILES, config.state / "mounts")
        world = system_world()
        parts = Parts(
            engine=engine,
            open_api=open_api,
            world=world,
            steady=_steady,
            spool=LineSpool(spool),
            endpoint=config.site.endpoint,
            dial=dial,
            interfaces=FunctionInterfaces(link, networks),
            doors=DebugDoors(_connect),
            credentials=RoleCredentials(link, world),
            unseal=self._unseal,
            shares=self._open_shares,
        )
        machine = MachineMemory(time.monotonic)
        rules = Rules(memory=_OVERCOMMIT * machine.total, most=most_environments())
        self.plane = Plane(parts, rules, stamp=stamp, memory=machine)
        state = config.state
        self.link = FunctionLink(
            FunctionLinkParts(
                state / questions.SOCKET, "local", lambda: (state / "node.token").read_text(), engine.available
            )
        )

    async def _unseal(self, function: Function) -> Mapping[str, str]:
        """Raises Permanent, Temporary."""
        found: Mapping[str, str] = await self._link.ask(questions.ENVIRONMENT, function.id)
        return found

    async def _open_shares(self, function: Function) -> Mapping[str, int]:
        """Raises Permanent, Temporary."""
        found = msgspec.convert(await self._link.ask(questions.SHARES, function.id), dict[str, Share])
        opened: dict[str, int] = {}
        try:
            for path, share in found.items():
                opened[path] = await self._shares.open(share, (UID, GID))
        except BaseException as error:
            for mount in opened.values():
                os.close(mount)
            if isinstance(error, Permanent):
                raise Permanent(f"{questions.NOT_MOUNTED}: {error.reason}") from None
            raise
        return opened

    async def run(self) -> None:
        """The loop. What a former life left goes first."""
        if not self.engine.available():
            await self.engine.remove_all()
        await self._forget_interfaces()
        await self.link.run(self.plane)

    async def _forget_interfaces(self) -> None:
        """Those of a former life; what waits for the server here can do nothing without it anyway."""
        while True:
            try:
                await self._link.ask(questions.NO_INTERFACES, "")
                return
            except Temporary:
                await asyncio.sleep(_ASK_AGAIN)
            except Permanent as error:
                log.error("interfaces of functions stay behind: %s", error)
                return

    async def close(self) -> None:
        await self.plane.close()
        await self.engine.close()


class MachineMemory:
    """In MiB, as the kernel tells."""

    def __init__(self, steady: Callable[[], float], meminfo: Path = MEMINFO, mount: Path = MOUNT) -> None:
        self._steady = steady
        self._where = meminfo, mount
        self.total = total_memory(*self._where) // MIB
        self._available, self._looked = self.total, -_LOOKED

    def short(self) -> bool:
        return self.available() < self.total * _SHORT

    def scarce(self) -> bool:
        return self.available() < self.total * _SCARCE

    def available(self) -> int:
        now = self._steady()
        if now >= self._looked + _LOOKED:
            self._looked, self._available = now, available_memory(*self._where) // MIB
        return self._available


def most_environments() -> int:
    """As many as there are descriptors for in this process: one more would break others."""
    return max(1, (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _OTHERS) // _DESCRIPTORS)


async def dial(sandbox: Sandbox) -> socket.socket:
    """A socket is of the network namespace that it was made in. Raises OSError."""
    return await asyncio.to_thread(_socket_inside, sandbox.pid)


async def _connect(sandbox: Sandbox, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    plain = await dial(sandbox)
    try:
        await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", port))
    except OSError:
        plain.close()
        raise
    return await asyncio.open_connection(sock=plain)


def _socket_inside(pid: int) -> socket.socket:
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if os.path.samestat(os.fstat(namespace), os.stat("/proc/self/ns/net")):  # noqa: PTH116
            raise ConnectionError("the sandbox has ended: its number is another process's")
        with inside(namespace):
            made = socket.socket()
    finally:
        os.close(namespace)
    made.setblocking(False)
    return made


def stamp(function: Function) -> str:
    """The state of the files of a function that is a directory: changes when one is saved, comes or goes."""
    digest = hashlib.blake2b(digest_size=8)
    todo = [Path(function.code.path)]
    while todo:
        try:
            entries = sorted(os.scandir(todo.pop()), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            if entry.name in _SKIPPED:
                continue
            try:
                seen = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if not stat.S_ISDIR(seen.st_mode):
                digest.update(f"{entry.path}\0{seen.st_mtime_ns}\0{seen.st_size}\n".encode())
            elif entry.name in _SHALLOW:
                digest.update(f"{entry.path}\0{seen.st_mtime_ns}\n".encode())
            else:
                todo.append(Path(entry.path))
    return digest.hexdigest()
