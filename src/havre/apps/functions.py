"""What runs functions, put together: the server's end of it and the node's."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import os
import socket
import stat
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from havre.apps.config import Config
from havre.control.deps import AwsFor, ReconcilerDeps
from havre.control.functions.environment import Parts
from havre.control.functions.hub import FunctionHub
from havre.control.functions.lines import LineSpool
from havre.control.functions.link import FunctionLink, FunctionLinkParts
from havre.control.functions.plane import Plane
from havre.control.images.addresses import HOME
from havre.control.images.kinds import ADDRESS
from havre.control.nodelink.client import Link
from havre.control.nodelink.spool import Spool
from havre.core.environments import Rules
from havre.dataplanes.runtime_api import open_api
from havre.engines.host_network import HostNetwork
from havre.engines.host_network.namespaces import inside
from havre.engines.oci.engine import OciEngine
from havre.engines.sandbox import Sandbox, SandboxEngine
from havre.kernel.errors import ApiError, Permanent
from havre.kernel.function import Code, Function
from havre.kernel.workload import Registry
from havre.kernel.world import World

log = logging.getLogger("havre.functions")

LAMBDA = "lambda.amazonaws.com"
SOCKET = "functions.sock"
CREDENTIALS, REGISTRY = "function credentials", "function registry"
"""What a node asks the server."""
_SHORT = 0.08
"""Of the machine's memory: when less is available, idle environments go early."""
_OVERCOMMIT = 4
"""A function's memory is its bound, not what it uses: environments may have this many times the machine's together."""
_SKIPPED = frozenset({"__pycache__", ".git"})
_SHALLOW = frozenset({"node_modules", "site-packages", ".venv", "venv"})
"""Directories of what is not edited: looked at from outside alone."""


# --- the server's end


async def role_credentials(aws_for: AwsFor, hub: FunctionHub, node: str, id: str) -> Mapping[str, Any]:
    """Of the role of a function that this node was given. Raises Permanent, Temporary, Gone."""
    function = hub.function(node, id)
    if not function.role:
        return {}
    sts = aws_for(function.account, function.region, LAMBDA)
    try:
        made = await sts(
            "sts", "AssumeRole", {"RoleArn": function.role, "RoleSessionName": function.name.ljust(2, "-")}
        )
    except ApiError as refusal:
        raise Permanent(f"The role defined for the function cannot be assumed by Lambda: {refusal.message}") from None
    keys = made["Credentials"]
    return {
        "AccessKeyId": keys["AccessKeyId"],
        "SecretAccessKey": keys["SecretAccessKey"],
        "SessionToken": keys["SessionToken"],
        "Expiration": float(keys["Expiration"]),
    }


async def registry_credentials(deps: ReconcilerDeps, image: str) -> Mapping[str, str]:
    """To pull an image that lies in this installation's registry; of others, nothing. Raises Permanent, Temporary."""
    server = image.partition("/")[0]
    host, _, port = server.partition(":")
    site = deps.site
    owners = [(r.meta.account, r.meta.region) for r in deps.store.find(ADDRESS, "address", host)]
    if host == HOME:
        owners = [(site.account, site.region)]
    if not owners or port != str(site.port):
        return {}
    ecr = deps.aws_for(*owners[0], LAMBDA)
    try:
        answer = await ecr("ecr", "GetAuthorizationToken", {})
    except ApiError as refusal:
        raise Permanent(f"{image} cannot be pulled: {refusal.message}") from None
    token = answer["authorizationData"][0]["authorizationToken"]
    user, _, password = base64.b64decode(token).decode().partition(":")
    return {"server": server, "username": user, "password": password}


# --- the node's end


class FunctionSources:
    """Where the engine gets functions' files (``Sources`` in engines/sandbox.py): the server's store of code is on this
    machine's disk, its registry is asked for."""

    def __init__(self, archives: Path, link: Link) -> None:
        self._archives = archives
        self._link = link

    async def archive(self, code: Code) -> Path:
        """Raises Permanent."""
        path = self._archives / code.digest
        if len(code.digest) != 64 or not code.digest.isalnum() or not path.is_file():
            raise Permanent(f"the archive {code.digest} is not there")
        return path

    async def registry(self, image: str) -> tuple[str, Registry | None]:
        """Raises Permanent, Temporary."""
        found: Mapping[str, str] = await self._link.ask(REGISTRY, image)
        return image, Registry(**found) if found else None


def sandboxes(config: Config, link: Link, network: HostNetwork) -> SandboxEngine:
    """Without networks of its own a sandbox reaches nothing, which beats no sandbox."""
    directory = config.state / "sandboxes"
    sources = FunctionSources(config.state / "functions", link)
    return OciEngine(config.site.instance, directory, sources, None if network.available() else network)


class RoleCredentials:
    """Asked of the server over the node link, and kept for the environments that begin while half of their time is left."""

    def __init__(self, link: Link, world: World) -> None:
        self._link = link
        self._world = world
        self._known: dict[str, tuple[float, Mapping[str, str | float]]] = {}

    async def __call__(self, function: Function) -> Mapping[str, str | float]:
        """Raises Permanent, Temporary."""
        if not function.role:
            return {}
        now = self._world.now()
        until, known = self._known.get(function.id, (0.0, {}))
        if now < until:
            return known
        found: Mapping[str, str | float] = await self._link.ask(CREDENTIALS, function.id)
        self._known = {id: entry for id, entry in self._known.items() if entry[0] > now}
        self._known[function.id] = ((now + float(found.get("Expiration", now))) / 2, found)
        return found


class NodeFunctions:
    def __init__(self, config: Config, engine: SandboxEngine, link: Link, spool: Spool, world: World) -> None:
        self.engine = engine
        parts = Parts(
            engine=engine,
            open_api=open_api,
            world=world,
            steady=time.monotonic,
            spool=LineSpool(spool),
            endpoint=config.site.endpoint,
            dial=dial,
            credentials=RoleCredentials(link, world),
        )
        total = _meminfo("MemTotal")
        self._short = total * _SHORT
        self._looked, self._is_pressed = 0.0, False
        self.plane = Plane(parts, Rules(memory=_OVERCOMMIT * total), stamp=stamp, pressure=self._pressed)
        state = config.state
        self.link = FunctionLink(
            FunctionLinkParts(state / SOCKET, "local", lambda: (state / "node.token").read_text(), engine.available)
        )

    def _pressed(self) -> bool:
        """As of a second ago at most."""
        now = time.monotonic()
        if now > self._looked + 1.0:
            self._looked, self._is_pressed = now, _meminfo("MemAvailable") < self._short
        return self._is_pressed

    async def run(self) -> None:
        """The loop. What a former life left goes first."""
        if not self.engine.available():
            await self.engine.remove_all()
        await self.link.run(self.plane)

    async def close(self) -> None:
        await self.plane.close()
        await self.engine.close()


def _meminfo(field: str) -> int:
    """MiB."""
    with open("/proc/meminfo") as file:
        for line in file:
            if line.startswith(field + ":"):
                return int(line.split()[1]) // 1024
    return 0


async def dial(sandbox: Sandbox) -> socket.socket:
    """A socket is of the network namespace that it was made in. Raises OSError."""
    return await asyncio.to_thread(_socket_inside, sandbox.pid)


def _socket_inside(pid: int) -> socket.socket:
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
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
