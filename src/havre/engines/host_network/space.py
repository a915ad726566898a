"""One VPC on this machine: its namespace with routers, interfaces, load balancers' addresses and rules.

Runs on the engine's own thread. What is attached is written in the aliases of the links, so that a process that starts
anew knows it before anyone tells it again, and leaves no task without its rules in the meantime.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import NamedTuple

from havre.engines.host_network import namespaces, rules
from havre.engines.host_network.netlink import BLACKHOLE, UNREACHABLE, Netlink
from havre.engines.host_network.nft import Nft
from havre.engines.host_network.rules import Member
from havre.kernel.addresses import inner_address, parse_cidr
from havre.kernel.balancer import Balancer
from havre.kernel.errors import Gone, Permanent, Temporary
from havre.kernel.vpc import Subnet, Vpc
from havre.kernel.workload import Interface

ROUTERS = "routers"
_SETTINGS = (
    ("ipv4/ip_forward", "1"),
    ("ipv4/conf/all/rp_filter", "1"),
    ("ipv4/conf/default/rp_filter", "1"),
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/default/send_redirects", "0"),
)
_NO_IPV6 = (("ipv6/conf/all/disable_ipv6", "1"), ("ipv6/conf/default/disable_ipv6", "1"))


class Placed(NamedTuple):
    """A load balancer's addresses in the VPC, its groups, and its address on the host."""

    addresses: tuple[str, ...]
    groups: tuple[str, ...]
    host_address: str


class Doorways(NamedTuple):
    """Sockets that are bound in a VPC: those of its DNS server by their kind, and one for each endpoint."""

    held: dict[socket.SocketKind | tuple[str, int], list[socket.socket]]

    def take(self, which: socket.SocketKind | tuple[str, int]) -> list[socket.socket]:
        """They are the caller's from now on."""
        return self.held.pop(which)

    def close(self) -> None:
        """Those that nobody has taken."""
        for sockets in self.held.values():
            for each in sockets:
                each.close()
        self.held.clear()


def link_of(eni: str) -> str:
    """15 characters are all that Linux gives a name; the alias has the whole id."""
    return "e" + sha256(eni.encode()).hexdigest()[:14]


def holder_of(balancer: str) -> str:
    return "b" + sha256(balancer.encode()).hexdigest()[:14]


class Space:
    def __init__(self, id: str, name: str) -> None:
        """Makes the namespace, or finds it, with what is in it. Raises OSError."""
        self.id = id
        self.name = name
        self.vpc: Vpc | None = None
        self.members: dict[str, Member] = {}
        self.balancers: dict[str, Placed] = {}
        self.endpoints: Sequence[tuple[str, int]] = ()
        """Addresses and TCP ports at which Havre answers everyone in the VPC."""
        self._combinations: set[str] = set()
        namespaces.create(name)
        self.fd = namespaces.descriptor(name)
        with namespaces.inside(self.fd):
            self.netlink = Netlink()
            self._reaper = Netlink()
            self._nft = Nft()
            self._settle()
        self._adopt()

    def _settle(self) -> None:
        for name, value in _SETTINGS:
            namespaces.setting(name, value)
        with suppress(OSError):  # a kernel without IPv6
            for name, value in _NO_IPV6:
                namespaces.setting(name, value)
        self.netlink.set_up(1)
        self.netlink.add_holder(ROUTERS)

    def _adopt(self) -> None:
        for link in self.netlink.links():
            words = link.alias.split(" ")
            if link.name.startswith("e") and len(words) == 3:
                self.members[words[0]] = Member(words[1], _list(words[2]))
            elif link.name.startswith("b") and len(words) == 3:
                self.balancers[link.name] = Placed(_list(words[0]), _list(words[1]), words[2])

    def close(self) -> None:
        self.netlink.close()
        self._reaper.close()
        self._nft.close()
        os.close(self.fd)

    def remove(self) -> None:
        """Everything in it, at once; HAProxy may hold the empty namespace for a while."""
        self.netlink.delete_veths()
        for link in self.netlink.links():
            if link.name != "lo":
                self.netlink.delete(link.name)
        self.close()
        namespaces.delete(self.name)

    # the VPC

    def describe(self, vpc: Vpc) -> None:
        """Addresses, routes and rules as described."""
        self.vpc = vpc
        for eni, groups in vpc.regrouped.items():
            if eni in self.members and self.members[eni].groups != groups:
                self._regroup(eni, groups)
        self.apply()
        routers = self.netlink.link(ROUTERS)
        assert routers is not None, "made with the namespace"
        self.netlink.set_up(routers.number)
        wanted = {parse_cidr(s.cidr).router for s in vpc.subnets} | set(self.served)
        have = {address for index, address in self.netlink.addresses() if index == routers.number}
        for address in wanted - have:
            self.netlink.add_address(routers.number, address)
        for address in have - wanted:
            self.netlink.remove_address(routers.number, address)
        for cidr in map(parse_cidr, vpc.cidrs):
            self.netlink.set_route(str(cidr).partition("/")[0], cidr.bits, kind=BLACKHOLE)
        self.netlink.set_route("169.254.0.0", 16, kind=UNREACHABLE)  # the host's own metadata service above all

    def _regroup(self, eni: str, groups: tuple[str, ...]) -> None:
        self.members[eni] = Member(self.members[eni].address, groups)
        with suppress(Gone):
            self._note(eni, self.members[eni])

    @property
    def served(self) -> list[str]:
        """Addresses at which this VPC's own servers answer: names, Havre's API and what else there is."""
        return [*self.resolvers, *(address for address, _ in self.endpoints)]

    @property
    def resolvers(self) -> list[str]:
        assert self.vpc is not None, "described first"
        return [*rules.resolvers(self.vpc), rules.RESOLVER] if self.vpc.resolver else []

    def apply(self) -> None:
        """All rules anew, in one transaction."""
        if self.vpc is None:
            return
        members = self.all_members()
        self._run(rules.vpc_table(self.vpc, members, self.endpoints))
        self._combinations = {rules.combination(m.groups) for m in members}

    def all_members(self) -> list[Member]:
        """One for each address: the last that got it, where the one before has not been taken away yet."""
        placed = [Member(a, p.groups) for p in self.balancers.values() for a in p.addresses]
        return list({m.address: m for m in (*self.members.values(), *placed)}.values())

    def _run(self, commands: str) -> None:
        with namespaces.inside(self.fd):
            self._nft.run(commands)

    def _change(self, commands: str) -> None:
        """A small change; all rules anew when it does not fit to what is there."""
        try:
            self._run(commands)
        except Permanent:
            self.apply()

    def sockets(self, addresses: Sequence[str], port: int, kind: socket.SocketKind) -> list[socket.socket]:
        with namespaces.inside(self.fd):
            return [bound(address, port, kind) for address in addresses]

    def doorways(self) -> Doorways:
        """All sockets at which this VPC's servers answer, or none."""
        found = Doorways({})
        with namespaces.inside(self.fd):
            try:
                for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                    found.held[kind] = []
                    for address in self.resolvers:
                        found.held[kind].append(bound(address, 53, kind))
                for at in self.endpoints:
                    found.held[at] = [bound(*at, socket.SOCK_STREAM)]
            except OSError:
                found.close()
                raise
        return found

    # interfaces

    def attach(self, interface: Interface, pid: int) -> None:
        vpc = self._described()
        subnet = next((s for s in vpc.subnets if s.id == interface.subnet), None)
        if subnet is None:
            raise Temporary(f"the subnet {interface.subnet} is not known here yet", 0.1)
        member = Member(interface.address, vpc.regrouped.get(interface.eni, interface.security_groups))
        there = _of_task(pid)
        try:
            with namespaces.inside(there):
                inner = Netlink()
            try:
                self._connect(interface, there, inner)
                _dress(inner, interface, subnet)
            finally:
                inner.close()
        finally:
            os.close(there)
        self._admit(interface.eni, member)

    def _admit(self, eni: str, member: Member) -> None:
        """Rules first: what the alias says holds already when it can be read, whatever happens in between."""
        known = self.members.get(eni)
        if known == member:
            return
        self.members[eni] = member
        try:
            if known is None:
                combination = rules.combination(member.groups)
                self._change(rules.add_member(self._described(), member, combination in self._combinations))
                self._combinations.add(combination)
            else:
                self.apply()
            self._note(eni, member)
        except BaseException:
            del self.members[eni]
            raise

    def _described(self) -> Vpc:
        if self.vpc is None:
            raise Temporary(f"the VPC {self.id} is not described here yet", 0.1)
        return self.vpc

    def _connect(self, interface: Interface, there: int, inner: Netlink) -> None:
        """The pair, if it is not there; its route."""
        name = link_of(interface.eni)
        link, eth = self.netlink.link(name), inner.link("eth0")
        if link is not None and (eth is None or eth.mac != interface.mac):
            self.netlink.delete(name)  # of a task that has ended
            link = None
        if link is None:
            if eth is not None:
                raise Permanent("the network namespace has an interface eth0 already")
            self.netlink.add_veth(name, "eth0", there, interface.mac)
            link = self.netlink.link(name)
            assert link is not None, "it was just made"
        self.netlink.set_up(link.number)
        self.netlink.set_route(interface.address, 32, link.number)

    def _note(self, eni: str, member: Member) -> None:
        """Where a process that starts anew finds it. Raises Gone when the link went with its process."""
        link = self.netlink.link(link_of(eni))
        if link is None:
            raise Gone(f"the interface {eni} went with its process")
        alias = f"{eni} {member.address} {','.join(member.groups)}"
        if link.alias != alias:
            self.netlink.set_alias(link.number, alias)

    def forget(self, eni: str) -> None:
        """The rules of an interface; its link goes by ``reap``."""
        member = self.members.pop(eni, None)
        if member is None or self.vpc is None:
            return
        if any(other.address == member.address for other in self.members.values()):
            self.apply()  # the address was given to another one meanwhile, whose rules these are
        else:
            self._change(rules.remove_member(self.vpc, member))

    def reap(self, eni: str) -> None:
        """Takes the kernel a good while (15 ms), during which others can be attached: meant for another thread."""
        self._reaper.delete(link_of(eni))

    # load balancers

    def place(self, balancer: Balancer) -> None:
        self._described()
        placed = Placed(
            tuple(address for _, address in balancer.addresses), balancer.security_groups, balancer.host_address
        )
        name = holder_of(balancer.id)
        self.netlink.add_holder(name)
        link = self.netlink.link(name)
        assert link is not None, "it was just made"
        have = {address for index, address in self.netlink.addresses() if index == link.number}
        for address in placed.addresses:
            self.netlink.add_address(link.number, address)
        for address in have - set(placed.addresses):
            self.netlink.remove_address(link.number, address)
        alias = f"{','.join(placed.addresses)} {','.join(placed.groups)} {placed.host_address}"
        self.netlink.set_up(link.number, alias)
        if self.balancers.get(name) != placed:
            self.balancers[name] = placed
            self.apply()

    def displace(self, balancer: str) -> bool:
        name = holder_of(balancer)
        self.netlink.delete(name)
        if self.balancers.pop(name, None) is None:
            return False
        self.apply()
        return True

    def host_balancers(self) -> list[rules.HostBalancer]:
        """For the host's table: whom each balancer's groups let in. Groups that nobody described let nobody in."""
        groups = {g.id: g for g in self.vpc.security_groups} if self.vpc is not None else {}
        found = []
        for placed in self.balancers.values():
            if placed.host_address:
                let = tuple(rule for id in placed.groups if id in groups for rule in groups[id].ingress)
                found.append(rules.HostBalancer(placed.host_address, let if placed.groups else None))
        return found


def _of_task(pid: int) -> int:
    """The process's namespace. Raises Gone, also when the process has another life by now, in the host's own."""
    try:
        there = namespaces.of_process(pid)
    except OSError:
        raise Gone(f"process {pid} is gone") from None
    if namespaces.is_home(there):
        os.close(there)
        raise Gone(f"process {pid} is no task's any more")
    return there


def _list(words: str) -> tuple[str, ...]:
    return tuple(word for word in words.split(",") if word)


def _dress(inner: Netlink, interface: Interface, subnet: Subnet) -> None:
    """The task's side: its address in its subnet, and everything by way of the router."""
    cidr = parse_cidr(subnet.cidr)
    eth = inner.link("eth0")
    if eth is None:
        raise Gone("the interface went with its process")
    inner.set_up(1)
    inner.add_address(eth.number, interface.address, cidr.bits)
    inner.set_up(eth.number)
    inner.set_route(cidr.router, 32, eth.number)
    inner.set_route("0.0.0.0", 0, eth.number, via=cidr.router)


def bound(address: str, port: int, kind: socket.SocketKind) -> socket.socket:
    """A socket of this thread's namespace, not blocking; listening if it is a stream."""
    sock = socket.socket(socket.AF_INET, kind)
    try:
        sock.setblocking(False)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        if kind == socket.SOCK_STREAM:
            sock.listen(512)
    except OSError:
        sock.close()
        raise
    return sock


def addresses_by_name(balancers: Mapping[str, Balancer]) -> dict[str, Sequence[str]]:
    """What the resolver tells of load balancers: by their names, and by the names that they would have in AWS, for programs
    that take everything below .localhost for themselves without asking (curl does)."""
    return _named({b.dns_name: [address for _, address in b.addresses] for b in balancers.values() if b.dns_name})


def reached_by_name(balancers: Mapping[str, Balancer]) -> dict[str, Sequence[str]]:
    """The same for containers that are in no VPC."""
    return _named({b.dns_name: [inner_address(b.host_address)] for b in balancers.values() if b.host_address})


def _named(addresses: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    found = {name.lower(): told for name, told in addresses.items()}
    return found | {name.removesuffix(".localhost") + ".amazonaws.com": told for name, told in found.items()}
