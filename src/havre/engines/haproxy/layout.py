"""Which frontends there are and where they listen: a balancer's own addresses, and one shared loopback address a port."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from havre.kernel.balancer import LINK, Balancer, BalancerListener

SHARED = "127.0.0.1"


class Bind(msgspec.Struct, frozen=True):
    """``namespace`` is a network namespace's name, "" the host's own. ``inode`` tells a new one of the same name apart.
    ``port`` 0: ``address`` is a Unix socket, in the proxy's directory."""

    address: str
    port: int
    namespace: str = ""
    inode: int = 0

    def __str__(self) -> str:
        return self.place + (f" in {self.namespace}" if self.namespace else "")

    @property
    def place(self) -> str:
        """As the proxy's configuration has it."""
        return f"{self.address}:{self.port}" if self.port else f"unix@{self.address}"


class Frontend(msgspec.Struct, frozen=True):
    """``listeners``: one for a frontend of its own, several where the Host header tells them apart."""

    id: str
    binds: tuple[Bind, ...]
    listeners: tuple[tuple[Balancer, BalancerListener], ...]


def own_binds(balancer: Balancer, listener: BalancerListener, spaces: Mapping[str, tuple[str, int]]) -> list[Bind]:
    """Where this listener answers by itself; ``spaces`` maps VPCs to (namespace, inode)."""
    if balancer.kind == LINK:
        return [Bind(f"{listener.id}.sock", 0)]
    binds = [Bind(a, listener.port) for a in (balancer.host_address, balancer.inner_address) if a]
    if balancer.vpc in spaces:
        namespace, inode = spaces[balancer.vpc]
        binds += [Bind(address, listener.port, namespace, inode) for _, address in balancer.addresses]
    return binds


def frontends(
    balancers: Sequence[Balancer], spaces: Mapping[str, tuple[str, int]], usable: Iterable[Bind]
) -> list[Frontend]:
    """All frontends, with those binds only that are usable. A port that one balancer has alone needs no Host header."""
    allowed = set(usable)
    ports: dict[int, list[tuple[Balancer, BalancerListener]]] = {}
    found: list[Frontend] = []
    for balancer in balancers:
        for listener in balancer.listeners:
            if balancer.kind != LINK:
                ports.setdefault(listener.port, []).append((balancer, listener))
                continue
            binds = [bind for bind in own_binds(balancer, listener, spaces) if bind in allowed]
            found += [Frontend(listener.id, tuple(binds), ((balancer, listener),))] if binds else []
    for port, sharers in sorted(ports.items()):
        together = sharing(sharers)
        for balancer, listener in sharers:
            binds = own_binds(balancer, listener, spaces)
            if together == [(balancer, listener)]:
                binds.append(Bind(SHARED, port))
            binds = [bind for bind in binds if bind in allowed]
            if binds:
                found.append(Frontend(listener.id, tuple(binds), ((balancer, listener),)))
        if len(together) > 1 and Bind(SHARED, port) in allowed:
            found.append(Frontend(f"shared-{port}", (Bind(SHARED, port),), tuple(together)))
    return found


def sharing(sharers: Sequence[tuple[Balancer, BalancerListener]]) -> list[tuple[Balancer, BalancerListener]]:
    """Those of one port that can share 127.0.0.1: of the first one's protocol, and HTTP if they are several. Who asks
    clients for certificates shares with nobody: a handshake for one name must not open the door of another."""
    first = sharers[0][1].protocol
    alike = [pair for pair in sharers if pair[1].protocol == first]
    if len(alike) > 1:
        alike = [pair for pair in alike if pair[1].mutual is None] or alike[:1]
    return alike if first in ("HTTP", "HTTPS") else alike[:1]


def all_binds(balancers: Sequence[Balancer], spaces: Mapping[str, tuple[str, int]]) -> list[Bind]:
    """Everything that is wished for, each once."""
    wished: dict[Bind, None] = {}
    for balancer in balancers:
        for listener in balancer.listeners:
            wished.update(dict.fromkeys(own_binds(balancer, listener, spaces)))
            if balancer.kind != LINK:
                wished[Bind(SHARED, listener.port)] = None
    return list(wished)
