"""Names for containers that are in no VPC (bridge and host mode): a DNS server on the host, at an address of the instance's.

A load balancer's name stands for an address that such containers reach; all else is asked of the machine's resolvers.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from typing import Protocol

from havre.engines.host_network import dns
from havre.engines.host_network.forwarder import Forwarder
from havre.engines.host_network.names import Names
from havre.engines.host_network.space import bound, reached_by_name
from havre.kernel.balancer import Balancer

Pair = tuple[socket.socket, socket.socket]

OUR_NAMES = ("elb.localhost", "localhost")
"""Names that no one else may be asked for."""


class Lend(Protocol):
    """Puts the address on the host, under its rules, and gives what ``work`` gives then. Raises Temporary."""

    def __call__(self, address: str, work: Callable[[], Pair]) -> Awaitable[Pair]: ...


def resolver_address(instance: str) -> str:
    """Link-local, and different for each instance: the port of a resolver cannot be chosen."""
    digest = sha256(instance.encode()).digest()
    return f"169.254.{128 + digest[0] % 64}.{1 + digest[1] % 254}"


class BridgeNames:
    def __init__(self, instance: str, balancers: Mapping[str, Balancer], forwarder: Forwarder) -> None:
        self.address = resolver_address(instance)
        self._balancers = balancers
        self._forwarder = forwarder
        self._server: dns.Server | None = None

    async def open(self, lend: Lend) -> None:
        """Idempotent. Raises Temporary: another program has the port."""
        if self._server is None:
            datagrams, streams = await lend(self.address, self._bound)
            self._server = dns.Server(self._names, self._forwarder)
            await self._server.serve([datagrams], [streams])

    def _bound(self) -> Pair:
        datagrams = bound(self.address, 53, socket.SOCK_DGRAM)
        try:
            return datagrams, bound(self.address, 53, socket.SOCK_STREAM)
        except OSError:
            datagrams.close()
            raise

    def _names(self) -> tuple[Names, bool]:
        return Names(reached_by_name(self._balancers), private=OUR_NAMES), True

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
