"""This instance's side of the host: links to VPCs that have a way out, address translation, filters, Docker's consent.

Runs on the engine's own thread.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from havre.engines.host_network.netlink import Netlink
from havre.engines.host_network.nft import Nft
from havre.engines.host_network.rules import WAY_OUT, HostBalancer, host_table
from havre.kernel.addresses import address_of, inner_address, number_of

LINKS = "169.254.192.0"
COUNT = 1 << 13
"""Pairs of addresses in 169.254.192.0/18, for all instances on this machine."""
LOCK = Path("/run/havre-links.lock")
FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
CONSENT = 60.0
"""Seconds after which rules on the host are looked at again: Docker may have been started anew, or a firewall loaded."""


class Ends(NamedTuple):
    """Addresses of a link: on the host, in the VPC."""

    host: str
    vpc: str


class Host:
    def __init__(self, instance: str) -> None:
        self.prefix = f"hv{sha256(instance.encode()).hexdigest()[:6]}"
        self.table = f"havre_{instance}"
        self._netlink: Netlink | None = None
        self._nft: Nft | None = None
        self.resolver = ""
        """Where names are told to containers that are in no VPC, once it is lent."""
        self._applied = ""
        self._looked = 0.0

    def close(self) -> None:
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None
        if self._nft is not None:
            self._nft.close()
            self._nft = None

    @property
    def netlink(self) -> Netlink:
        if self._netlink is None:
            self._netlink = Netlink()
        return self._netlink

    def link_name(self, vpc: str) -> str:
        return self.prefix + sha256(vpc.encode()).hexdigest()[:6]

    def connect(self, vpc: str, namespace: int, inner: Netlink) -> Ends:
        """The link of this VPC, made if it is not there; its default route."""
        name = self.link_name(vpc)
        there, here = inner.link(WAY_OUT), self.netlink.link(name)
        if there is None or here is None or not here.alias:
            inner.delete(WAY_OUT)
            self.netlink.delete(name)
            with turn():
                ends = self._free_ends(name)
                self.netlink.add_veth(name, WAY_OUT, namespace)
                here = self.netlink.link(name)
                assert here is not None, "it was just made"
                self.netlink.set_up(here.number, f"{vpc} {ends.host}")
                self.netlink.add_address(here.number, ends.host)
            there = inner.link(WAY_OUT)
            assert there is not None, "it was just made"
        ends = _ends(here.alias or self._alias(name))
        inner.add_address(there.number, ends.vpc)
        inner.set_up(there.number)
        self.netlink.set_route(ends.vpc, 32, here.number)
        inner.set_route(ends.host, 32, there.number)
        inner.set_route("0.0.0.0", 0, there.number, via=ends.host)
        return ends

    def _alias(self, name: str) -> str:
        link = self.netlink.link(name)
        return link.alias if link is not None else ""

    def _free_ends(self, name: str) -> Ends:
        """Addresses that no link on this machine has; the search begins where the name says, to meet few others."""
        taken = {address for _, address in self.netlink.addresses()}
        start = int(sha256(name.encode()).hexdigest()[:8], 16)
        for step in range(COUNT):
            first = number_of(LINKS) + 2 * ((start + step) % COUNT)
            if address_of(first) not in taken:
                return Ends(address_of(first), address_of(first + 1))
        raise OSError("no addresses are left for links to VPCs in 169.254.192.0/18")

    def disconnect(self, vpc: str) -> None:
        self.netlink.delete(self.link_name(vpc))

    def links(self) -> Mapping[str, Ends]:
        """VPC → addresses of its link, for all links of this instance."""
        ours = [link for link in self.netlink.links() if link.name.startswith(self.prefix) and link.alias]
        return {link.alias.split()[0]: _ends(link.alias) for link in ours}

    @property
    def due(self) -> bool:
        """Whether there are rules that somebody may have swept away since they were looked at."""
        return bool(self._applied) and time.monotonic() > self._looked + CONSENT

    def apply(self, balancers: Sequence[HostBalancer]) -> None:
        """The instance's table, for the links that there are now; none when there is nothing for it to do."""
        links = [ends.vpc for ends in self.links().values()]
        lent = [inner_address(b.address) for b in balancers] + ([self.resolver] if self.resolver else [])
        wanted = host_table(self.table, self.prefix, sorted(links), balancers, lent) if links or lent else ""
        if wanted == self._applied and not self.due:
            return
        if links:
            self._consent()
        self._looked = time.monotonic()
        if self._nft is None:
            self._nft = Nft()
        self._nft.run(wanted or f"table inet {self.table}\ndelete table inet {self.table}\n")
        self._lend(lent)
        self._applied = wanted

    def _lend(self, addresses: Sequence[str]) -> None:
        """Addresses for containers on Docker's bridge, on a link of this instance's; rules guard them already."""
        name = f"{self.prefix}lent"
        if not addresses and self.netlink.link(name) is None:
            return
        self.netlink.add_holder(name)
        link = self.netlink.link(name)
        assert link is not None, "it was just made"
        self.netlink.set_up(link.number)
        have = {address for index, address in self.netlink.addresses() if index == link.number}
        for address in set(addresses) - have:
            self.netlink.add_address(link.number, address)
        for address in have - set(addresses):
            self.netlink.remove_address(link.number, address)

    def _consent(self) -> None:
        """Docker sets the policy of FORWARD to DROP; DOCKER-USER is where it asks others to say what may pass."""
        if FORWARD.read_text().strip() != "1":
            FORWARD.write_text("1")
        if shutil.which("iptables") is None:
            return
        chain = next((c for c in ("DOCKER-USER", "FORWARD") if self._matters(c)), "")
        if not chain:
            return
        for rule in self._accepts():
            if iptables("-C", chain, *rule) != 0:
                iptables("-I", chain, *rule)

    def _matters(self, chain: str) -> bool:
        if chain == "DOCKER-USER":
            return iptables("-S", chain) == 0
        listed = subprocess.run(["iptables", "-w", "-S", chain], capture_output=True, check=False).stdout
        return listed.startswith(b"-P FORWARD DROP")

    def _accepts(self) -> Iterator[Sequence[str]]:
        mark = ("-m", "comment", "--comment", self.table)
        yield ("-i", f"{self.prefix}+", *mark, "-j", "ACCEPT")
        yield ("-o", f"{self.prefix}+", "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", *mark, "-j", "ACCEPT")

    def remove_all(self) -> None:
        for link in self.netlink.links():
            if link.name.startswith(self.prefix):
                self.netlink.delete(link.name)
        self.resolver = ""
        if self._nft is None:
            self._nft = Nft()
        self._nft.run(f"table inet {self.table}\ndelete table inet {self.table}\n")
        self._applied = ""
        if shutil.which("iptables") is not None:
            for chain in ("DOCKER-USER", "FORWARD"):
                for rule in self._accepts():
                    while iptables("-D", chain, *rule) == 0:
                        pass


def _ends(alias: str) -> Ends:
    host = alias.split()[1]
    return Ends(host, address_of(number_of(host) + 1))


def iptables(*arguments: str) -> int:
    """Its exit code."""
    return subprocess.run(["iptables", "-w", *arguments], capture_output=True, check=False).returncode


@contextmanager
def turn() -> Iterator[None]:
    """Instances choose addresses and links one after the other."""
    fd = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
