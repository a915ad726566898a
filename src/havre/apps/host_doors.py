"""What the node opens on the host for containers in bridge and host mode: the metadata endpoint, the way to the API, names.

The first two stand on link-local addresses of the loopback interface: containers reach them through their bridge's
router, which is this host, from their first instruction on, and nothing has to know their addresses before they start
(docs/decisions/0008-where-containers-ask.md).
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from havre.apps.http.listeners import Listeners
from havre.control.operation import Site
from havre.control.tasks import Tasks
from havre.engines.host_network import HostNetwork
from havre.engines.host_network.loopback import give_back
from havre.engines.host_network.relay import Relay
from havre.engines.host_network.rules import ENDPOINT
from havre.kernel.errors import Temporary

METADATA = "169.254.170.2"
_EVERYWHERE = ("0.0.0.0", "::", "")

log = logging.getLogger("havre.node")
_tasks = Tasks()


class HttpDoor:
    def __init__(self, listeners: Listeners) -> None:
        self._listeners = listeners

    def close(self) -> None:
        _tasks.spawn(self._listeners.close(1.0), "close a metadata endpoint")


async def serve(app: Any, descriptor: int) -> HttpDoor:
    """Serve an ASGI application on a listening socket."""
    listeners = Listeners(app)
    await listeners.adopt(socket.socket(fileno=descriptor), (METADATA, descriptor))
    return HttpDoor(listeners)


class HostDoors:
    def __init__(self, network: HostNetwork, site: Site) -> None:
        self._network = network
        self._site = site
        self._open: tuple[str, str, str] | None = None
        self._closers: list[Callable[[], None]] = []
        self._lock = asyncio.Lock()

    async def open(self, app: Any, admits: Callable[[str], Awaitable[bool]]) -> tuple[str, str, str]:
        """As dataplanes/metadata/endpoint.py has it. Not on port 80, which containers with a host port of 80 need."""
        async with self._lock:
            if self._open is None:
                port = await self._open_metadata(app)
                await self._open_api(admits)
                names = await self._open_names()
                self._open = (f"http://{METADATA}:{port}", f"http://{ENDPOINT}:{self._site.port}", names)
            return self._open

    async def _open_names(self) -> str:
        """Without it containers have the machine's own resolvers, as Docker gives them."""
        try:
            return await self._network.tell_names()
        except Temporary as e:
            log.warning("load balancers have no names in bridge mode: %s", e)
            return ""

    async def _open_metadata(self, app: Any) -> int:
        trouble = Temporary("no port is free")
        for port in (self._site.port, 20_000 + self._site.port % 10_000):
            try:
                descriptor = await self._network.listen(os.getpid(), METADATA, port)
            except Temporary as e:
                trouble = e
                continue
            self._closers.append((await serve(app, descriptor)).close)
            return port
        raise Temporary(f"the metadata endpoint: {trouble.reason}")

    async def _open_api(self, admits: Callable[[str], Awaitable[bool]]) -> None:
        """A server that listens on every address listens on this one as well, once the host has it."""
        try:
            descriptor = await self._network.listen(os.getpid(), ENDPOINT, self._site.port)
        except Temporary:
            if self._site.host in _EVERYWHERE:
                return
            raise
        relay = Relay(self._site.host, self._site.port, admits)
        await relay.serve(socket.socket(fileno=descriptor))
        self._closers.append(relay.close)

    def close(self) -> None:
        for close in self._closers:
            close()
        self._closers.clear()
        self._open = None

    async def remove(self) -> None:
        """Leave nothing on the host. Raises OSError."""
        self.close()
        await _tasks.settle()
        if not self._network.available():
            await asyncio.to_thread(give_back, (METADATA, ENDPOINT))
