"""A machine to try networks on: processes in namespaces of their own, servers and clients inside them."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from havre.engines.host_network import HostNetwork, namespaces
from havre.engines.host_network.host import Host
from havre.engines.host_network.netlink import Netlink
from havre.kernel.balancer import Balancer
from havre.kernel.vpc import NetworkRule, SecurityGroup, Subnet, Vpc
from havre.kernel.workload import Interface

ALL = NetworkRule("-1", -1, -1, "0.0.0.0/0")
QUIET, PATIENCE = 0.4, 30.0
"""Seconds after which a packet that should be dropped counts as dropped; after which an answer that should come does not."""


def tcp(port: int, cidr: str = "", group: str = "") -> NetworkRule:
    return NetworkRule("tcp", port, port, cidr, group)


def group(name: str, *ingress: NetworkRule, egress: tuple[NetworkRule, ...] = (ALL,)) -> SecurityGroup:
    return SecurityGroup(f"sg-{name}", ingress, egress)


def vpc_of(*groups: SecurityGroup, id: str = "", **fields: object) -> Vpc:
    """172.31.0.0/16 with the subnets a and b."""
    subnets = (Subnet("subnet-a", "172.31.0.0/20", "a"), Subnet("subnet-b", "172.31.16.0/20", "b"))
    given = {"subnets": subnets, "domain": "ec2.internal", "internet": False, **fields}
    return Vpc(id or f"vpc-{random.getrandbits(68):017x}", ("172.31.0.0/16",), security_groups=groups, **given)  # type: ignore[arg-type]


def interface(vpc: Vpc, address: str, *groups: str) -> Interface:
    third = int(address.split(".")[2])
    subnet = "subnet-a" if third < 16 else "subnet-b"
    mac = "02:" + ":".join(f"{random.randrange(256):02x}" for _ in range(5))
    names = tuple(f"sg-{name}" for name in groups)
    return Interface(f"eni-{random.getrandbits(68):017x}", vpc.id, subnet, address, mac, names)


def balancer(vpc: Vpc, id: str, host_address: str, *addresses: str, groups: tuple[str, ...] = ()) -> Balancer:
    pairs = tuple(("subnet-a", address) for address in addresses)
    named = tuple(f"sg-{name}" for name in groups)
    return Balancer(id, f"{id}-1.us-east-1.elb.localhost", vpc.id, pairs, host_address, named)


@dataclass
class Machine:
    """``pid`` of a process that sleeps in a network namespace of its own."""

    process: subprocess.Popen[bytes]
    listeners: list[socket.socket] = field(default_factory=list)

    @property
    def pid(self) -> int:
        return self.process.pid

    @contextmanager
    def inside(self) -> Iterator[None]:
        fd = namespaces.of_process(self.pid)
        try:
            with namespaces.inside(fd):
                yield
        finally:
            os.close(fd)

    def socket(self, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
        with self.inside():
            made = socket.socket(socket.AF_INET, kind)
        made.setblocking(False)
        return made

    def serve(self, port: int, address: str = "0.0.0.0") -> socket.socket:
        """A listener whose connections wait in its backlog: the kernel answers, which is all that is asked for."""
        listener = self.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(64)
        self.listeners.append(listener)
        return listener

    async def connect(self, address: str, port: int, within: float = PATIENCE) -> socket.socket:
        made = self.socket()
        try:
            await asyncio.wait_for(asyncio.get_running_loop().sock_connect(made, (address, port)), within)
        except BaseException:
            made.close()
            raise
        return made

    async def reaches(self, address: str, port: int, within: float = PATIENCE) -> bool:
        """False when nothing answers in time; an active refusal is a failure of the test."""
        try:
            (await self.connect(address, port, within)).close()
        except TimeoutError:
            return False
        return True

    async def misses(self, address: str, port: int) -> bool:
        """Nothing answers, as when its packets are dropped."""
        return not await self.reaches(address, port, QUIET)

    async def ask(self, server: str, message: bytes) -> bytes:
        made = self.socket(socket.SOCK_DGRAM)
        loop = asyncio.get_running_loop()
        try:
            made.connect((server, 53))
            await loop.sock_sendall(made, message)
            return await asyncio.wait_for(loop.sock_recv(made, 4096), PATIENCE)
        finally:
            made.close()

    def close(self) -> None:
        for listener in self.listeners:
            listener.close()
        self.process.kill()
        self.process.wait()


def machine() -> Machine:
    process = subprocess.Popen(["unshare", "--net", "sleep", "600"])
    home = Path("/proc/self/ns/net").readlink()
    while True:
        if process.poll() is not None:
            raise RuntimeError("no namespace can be made here")
        if Path(f"/proc/{process.pid}/ns/net").readlink() != home:
            return Machine(process)


def answers(port: int, address: str = "127.0.0.1") -> socket.socket:
    """A listener on the host."""
    listener = socket.create_server((address, port))
    listener.setblocking(False)
    return listener


@contextmanager
def elsewhere(beyond: Machine) -> Iterator[str]:
    """A network beyond the host, with one machine on it; gives its address."""
    third, name = random.randrange(256), f"tst{random.getrandbits(24):06x}"
    here, there = f"198.18.{third}.1", f"198.18.{third}.2"
    host, fd = Netlink(), namespaces.of_process(beyond.pid)
    with beyond.inside():
        inner = Netlink()
    try:
        host.add_veth(name, "eth0", fd)
        for end, link, own, other in ((host, name, here, there), (inner, "eth0", there, here)):
            found = end.link(link)
            assert found is not None
            end.add_address(found.number, own)
            end.set_up(found.number)
            end.set_route(other, 32, found.number)
        yield there
    finally:
        os.close(fd)
        host.delete(name)
        host.close()
        inner.close()


def query(name: str, type: int = 1) -> bytes:
    labels = b"".join(bytes([len(x)]) + x.encode() for x in name.split("."))
    return struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", type, 1)


def answered(reply: bytes) -> tuple[int, list[str]]:
    """Code and addresses, of replies with A records."""
    count = int.from_bytes(reply[6:8], "big")
    found = [socket.inet_ntoa(reply[len(reply) - 16 * n - 4 : len(reply) - 16 * n]) for n in range(count)]
    return reply[3] & 15, sorted(found)


def state_of(instance: str) -> str:
    """Everything on this machine that bears the instance's name: links, tables, Docker's rules, namespaces."""
    prefix = Host(instance).prefix
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
    chains = subprocess.run(["iptables", "-S"], capture_output=True, text=True, check=False).stdout
    found = [line for line in [*links.splitlines(), *tables.splitlines(), *chains.splitlines()] if prefix in line]
    found += [line for line in tables.splitlines() if line.endswith(f"havre_{instance}")]
    return "\n".join(found + namespaces.names(f"havre-{instance}-"))


def small() -> Vpc:
    """Whose servers let clients in."""
    return vpc_of(group("web", tcp(80, group="sg-client")), group("client"), internet=True)


async def served(engine: HostNetwork, vpc: Vpc, web: Machine) -> None:
    await engine.ensure_vpc(vpc)
    await engine.attach(interface(vpc, "172.31.0.5", "web"), web.pid)
    web.serve(80)
