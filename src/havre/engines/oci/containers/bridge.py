"""Bridge mode: each container has an address that this host routes to, and what it publishes is translated to it.

There is no bridge, nor Docker's rules: a veth pair for each container, a route of one address, and one nftables table of the
instance's own. The pair goes with the container's namespace; the table is written anew by each process that begins, so that
a killed one leaves nothing that its successor would not put right.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import msgspec

from havre.engines.host_network import namespaces
from havre.engines.host_network.host import iptables, turn
from havre.engines.host_network.netlink import UNICAST, Netlink
from havre.engines.host_network.nft import Nft
from havre.engines.host_network.rules import LINKED
from havre.kernel.addresses import address_of, number_of
from havre.kernel.errors import Permanent, Temporary
from havre.kernel.workload import BoundPort, PortMapping

_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
_BLOCKS, _BITS = "10.213.0.0", 20
_COUNT = 16
"""Blocks of 4096 addresses, for as many instances at a time on this machine."""
_HOLDER = "gateway"
_INSIDE = "eth0"
_MAP = "published"


class Published(msgspec.Struct, frozen=True):
    """A container on the bridge, with what it publishes."""

    address: str
    ports: tuple[BoundPort, ...] = ()


class Bridge:
    """Every method blocks, but ``prefix`` and what is known already. Raises OSError, Permanent, Temporary."""

    def __init__(self, instance: str) -> None:
        self.table = f"havre_{instance}_tasks"
        self.prefix = f"{LINKED}{sha256(instance.encode()).hexdigest()[:6]}"
        self._lock = threading.Lock()
        self._netlink: Netlink | None = None
        self._base = 0
        self._taken: set[int] = set()
        self._nft: Nft | None = None
        self._elements: set[str] | None = None
        """What the table has of the map; None when that is not known."""

    # --- the instance's block

    @property
    def _links(self) -> Netlink:
        if self._netlink is None:
            self._netlink = Netlink()
        return self._netlink

    def settle(self, taken: Iterable[str]) -> None:
        """The block, found again or taken; ``taken``: addresses of containers that run. Nothing is made before it is
        needed."""
        with self._lock:
            self._taken = {number_of(address) for address in taken}
            holder = self._links.link(self.prefix + _HOLDER)
            if holder is not None:
                own = [number_of(a) for index, a in self._links.addresses() if index == holder.number]
                self._base = own[0] - 1 if own else 0

    @property
    def _gateway(self) -> str:
        return address_of(self._base + 1)

    @property
    def cidr(self) -> str:
        return f"{address_of(self._base)}/{_BITS}"

    def _ready(self) -> None:
        if self._base and self._there():
            return
        with turn():
            self._base = self._base or self._free_block()
            self._links.add_holder(self.prefix + _HOLDER)
            holder = self._links.link(self.prefix + _HOLDER)
            assert holder is not None, "it was just made"
            self._links.add_address(holder.number, self._gateway, _BITS)
            self._links.set_up(holder.number)
            self._links.set_route(address_of(self._base), _BITS, holder.number, kind=UNICAST)
        if _FORWARD.read_text().strip() != "1":
            _FORWARD.write_text("1")
        self.consent()

    def _free_block(self) -> int:
        """One that nothing on this machine has an address in, or a route of its own into."""
        size = 1 << (32 - _BITS)
        known = {number_of(a) // size for _, a in self._links.addresses()} | {n // size for n in _routed()}
        start = int(sha256(self.table.encode()).hexdigest()[:8], 16)
        for step in range(_COUNT):
            base = number_of(_BLOCKS) + (start + step) % _COUNT * size
            if base // size not in known:
                return base
        raise Temporary(f"no block of {_BLOCKS}/16 is free for containers in bridge mode")

    # --- containers

    def attach(self, pid: int, id: str) -> str:
        """The address that the container's namespace has from now on."""
        with self._lock:
            self._ready()
            address = self._free()
            name, there = self.prefix + id[:7], namespaces.of_process(pid)
            try:
                self._links.delete(name)
                self._links.add_veth(name, _INSIDE, there)
                link = self._links.link(name)
                assert link is not None, "it was just made"
                self._links.add_address(link.number, self._gateway)
                self._links.set_up(link.number)
                self._links.set_route(address, 32, link.number)
                with suppress(OSError):  # loopback's ports are published too
                    Path(f"/proc/sys/net/ipv4/conf/{name}/route_localnet").write_text("1")
                self._inside(there, address)
            except BaseException:
                self._taken.discard(number_of(address))
                raise
            finally:
                os.close(there)
            return address

    def _inside(self, there: int, address: str) -> None:
        with namespaces.inside(there):
            inner = Netlink()
        try:
            inner.set_up(1)
            link = inner.link(_INSIDE)
            assert link is not None, "it was just made"
            inner.add_address(link.number, address, _BITS)
            inner.set_up(link.number)
            inner.set_route(self._gateway, 32, link.number)
            inner.set_route("0.0.0.0", 0, link.number, via=self._gateway)
        finally:
            inner.close()

    def _free(self) -> str:
        """The one after the last, so that what still goes to a former holder finds nobody."""
        size = 1 << (32 - _BITS)
        start = max((n - self._base for n in self._taken), default=1)
        for step in range(1, size):
            offset = (start + step) % size
            if 1 < offset < size - 1 and self._base + offset not in self._taken:
                self._taken.add(self._base + offset)
                return address_of(self._base + offset)
        raise Temporary("all addresses of the bridge are in use")

    def detach(self, id: str, address: str) -> None:
        """Gone is success: the kernel takes the pair away with the namespace."""
        with self._lock:
            self._links.delete(self.prefix + id[:7])
            self._taken.discard(number_of(address))

    # --- what is published

    def apply(self, containers: Sequence[Published]) -> None:
        """Exactly these. Where the table is there already, what has changed is an element more or less: the kernel takes
        a fraction of a millisecond for that, and many for a table."""
        with self._lock:
            wanted = {element(c, p) for c in containers for p in c.ports}
            if self._elements is None:
                if containers or self._there():
                    self._run(table(self.table, self.prefix, self.cidr, sorted(wanted)))
                    self._elements = wanted
                return
            changes = [("delete", e) for e in sorted(self._elements - wanted)]
            changes += [("add", e) for e in sorted(wanted - self._elements)]
            self._elements, before = None, self._elements
            if changes:
                self._run("".join(f"{verb} element ip {self.table} {_MAP} {{ {e} }}\n" for verb, e in changes))
            self._elements = wanted if changes else before

    def _run(self, commands: str) -> None:
        if self._nft is None:
            self._nft = Nft()
        self._nft.run(commands)

    def _there(self) -> bool:
        """Whether something of the instance's may be there, of this life or an earlier one."""
        return self._links.link(self.prefix + _HOLDER) is not None

    def consent(self) -> None:
        """Docker, and others, let nothing through that they do not know: DOCKER-USER is where they ask."""
        if shutil.which("iptables") is None:
            return
        chain = next((c for c in ("DOCKER-USER", "FORWARD") if _matters(c)), "")
        for rule in self._accepts() if chain else ():
            if iptables("-C", chain, *rule) != 0:
                iptables("-I", chain, *rule)

    def _accepts(self) -> Iterator[Sequence[str]]:
        mark = ("-m", "comment", "--comment", self.table, "-j", "ACCEPT")
        yield ("-i", f"{self.prefix}+", *mark)
        for states in ("RELATED,ESTABLISHED", "DNAT"):
            yield ("-o", f"{self.prefix}+", "-m", "conntrack", "--ctstate", states, *mark)

    def remove_all(self) -> None:
        with self._lock:
            if self._there() or self._elements is not None:
                self._run(f"table ip {self.table}\ndelete table ip {self.table}\n")
            for link in self._links.links():
                if link.name.startswith(self.prefix):
                    self._links.delete(link.name)
            self._base, self._elements = 0, None
            if shutil.which("iptables") is not None:
                for chain in ("DOCKER-USER", "FORWARD"):
                    for rule in self._accepts():
                        while iptables("-D", chain, *rule) == 0:
                            pass

    def close(self) -> None:
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None
        if self._nft is not None:
            self._nft.close()
            self._nft = None


def element(container: Published, port: BoundPort) -> str:
    """Of the map: what comes for the port goes to the container."""
    return f"{port.protocol} . {port.host_port} : {container.address} . {port.container_port}"


def table(name: str, prefix: str, cidr: str, elements: Sequence[str]) -> str:
    """The whole table, in place of the one before. Pure."""
    lines = [f"table ip {name}", f"delete table ip {name}", f"table ip {name} {{"]
    lines += [f"map {_MAP} {{", "type inet_proto . inet_service : ipv4_addr . inet_service"]
    lines += [f"elements = {{ {', '.join(elements)} }}", "}"] if elements else ["}"]
    lines += ["chain guard {", "type filter hook prerouting priority -300; policy accept;"]
    lines += [f'iifname "{prefix}*" ip daddr 127.0.0.0/8 drop', "}"]
    translated = f"fib daddr type local dnat ip addr . port to meta l4proto . th dport map @{_MAP}"
    for chain, hook in (("arriving", "prerouting"), ("calling", "output")):
        lines += [f"chain {chain} {{", f"type nat hook {hook} priority -100; policy accept;", translated, "}"]
    lines += ["chain leaving {", "type nat hook postrouting priority 100; policy accept;"]
    lines += [f'ip saddr {cidr} oifname != "{prefix}*" masquerade']
    lines += [f'ip saddr 127.0.0.0/8 oifname "{prefix}*" masquerade']
    lines += [f'ip saddr {cidr} oifname "{prefix}*" ct status dnat masquerade', "}", "}", ""]
    return "\n".join(lines)


def reserve(mapping: PortMapping) -> tuple[socket.socket, BoundPort]:
    """A socket that keeps others off the host port for as long as somebody has it. Raises Permanent in Docker's words."""
    kind = socket.SOCK_STREAM if mapping.protocol == "tcp" else socket.SOCK_DGRAM
    held = socket.socket(socket.AF_INET, kind)
    try:
        held.bind(("0.0.0.0", mapping.host_port))
    except OSError as error:
        held.close()
        if error.errno == 98:
            words = f"Bind for 0.0.0.0:{mapping.host_port} failed: port is already allocated"
        else:
            words = f"Bind for 0.0.0.0:{mapping.host_port} failed: {os.strerror(error.errno or 0)}"
        raise Permanent(words) from None
    return held, BoundPort(mapping.container_port, held.getsockname()[1], mapping.protocol)


def _routed() -> Iterator[int]:
    """The beginnings of prefixes that this host has routes to, but for the default route."""
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        words = line.split()
        if words[7] != "00000000":
            yield int.from_bytes(bytes.fromhex(words[1]), "little")


def _matters(chain: str) -> bool:
    if chain == "DOCKER-USER":
        return iptables("-S", chain) == 0
    listed = subprocess.run(["iptables", "-w", "-S", chain], capture_output=True, check=False).stdout
    return listed.startswith(b"-P FORWARD DROP")
