"""Security groups as nftables rules: whatever groups there are, the kernel takes them; and small changes are as good as
writing everything anew."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from havre.engines.host_network import namespaces, rules
from havre.engines.host_network.nft import Nft
from havre.engines.host_network.rules import Member
from havre.kernel.vpc import NetworkRule, SecurityGroup, Subnet, Vpc

pytestmark = pytest.mark.root
SLOW = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
ENDPOINTS = (("169.254.169.1", 4566), ("169.254.170.2", 80))

IDS = st.sampled_from([f"sg-{n:017x}" for n in range(5)])
CIDRS = st.sampled_from(["0.0.0.0/0", "10.0.0.0/8", "172.31.0.7/32", "0.0.0.0/1"])
PORTS = st.sampled_from([(0, 65535), (-1, -1), (80, 80), (0, 0), (1000, 2000), (0, 1023)])
ICMP = st.sampled_from([(-1, -1), (8, -1), (8, 0), (3, 4), (0, 0), (255, 255)])
SIDES = st.one_of(CIDRS.map(lambda c: {"cidr": c}), IDS.map(lambda g: {"group": g}))


def _rule(protocol: str, ports: tuple[int, int], side: dict[str, str]) -> NetworkRule:
    return NetworkRule(protocol, *ports, **side)


RULES = st.one_of(
    st.builds(_rule, st.sampled_from(["tcp", "udp"]), PORTS, SIDES),
    st.builds(_rule, st.just("icmp"), ICMP, SIDES),
    st.builds(_rule, st.sampled_from(["-1", "50", "0", "255", "icmpv6", "132"]), st.just((-1, -1)), SIDES),
)
GROUPS = st.builds(SecurityGroup, IDS, st.lists(RULES, max_size=4).map(tuple), st.lists(RULES, max_size=3).map(tuple))
MEMBERS = st.builds(
    Member, st.integers(4, 250).map(lambda n: f"172.31.0.{n}"), st.lists(IDS, max_size=3, unique=True).map(tuple)
)


def _vpc(groups: Sequence[SecurityGroup], internet: bool, ways: tuple[str, ...]) -> Vpc:
    return Vpc(
        "vpc-1",
        ("172.31.0.0/16",),
        (Subnet("subnet-1", "172.31.0.0/20", "a", ways), Subnet("subnet-2", "172.31.16.0/20", "b", ())),
        tuple(groups),
        internet,
    )


VPCS = st.builds(
    _vpc,
    st.lists(GROUPS, max_size=4, unique_by=lambda g: g.id),
    st.booleans(),
    st.sampled_from([(), ("0.0.0.0/0",), ("8.8.8.0/24", "9.0.0.0/8")]),
)
CROWDS = st.lists(MEMBERS, max_size=6, unique_by=lambda m: m.address)


def apart(work: Callable[[Nft], None]) -> None:
    """On a thread in a network namespace of its own, which goes with it."""
    trouble: list[BaseException] = []

    def run() -> None:
        try:
            namespaces.leave()
            nft = Nft()
            try:
                work(nft)
            finally:
                nft.close()
        except BaseException as error:
            trouble.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if trouble:
        raise trouble[0]


def shown() -> list[str]:
    """The whole table, as the kernel has it; what nothing refers to any more is left out."""
    listed = subprocess.run(["nft", "list", "table", *rules.TABLE.split()], capture_output=True, text=True, check=True)
    text = " ".join(line.strip() for line in listed.stdout.splitlines())
    blocks = text.split("} ")
    return sorted(" ".join(sorted(block.replace(",", " ").split())) for block in blocks)


@SLOW
@given(VPCS, CROWDS)
def test_the_kernel_takes_every_table(vpc: Vpc, crowd: list[Member]) -> None:
    def work(nft: Nft) -> None:
        for _ in range(2):
            nft.run(rules.vpc_table(vpc, crowd, ENDPOINTS))

    apart(work)


@SLOW
@given(VPCS, CROWDS, st.data())
def test_small_changes_are_as_good_as_everything_anew(vpc: Vpc, crowd: list[Member], data: st.DataObject) -> None:
    """Interfaces that come and go one by one, in any order."""
    here = data.draw(st.lists(st.sampled_from(crowd), unique_by=lambda m: m.address)) if crowd else []
    come = [m for m in crowd if m not in here]
    go = data.draw(st.lists(st.sampled_from(crowd), unique_by=lambda m: m.address)) if crowd else []
    stay = [m for m in crowd if m not in go]

    def work(nft: Nft) -> None:
        nft.run(rules.vpc_table(vpc, here, ENDPOINTS))
        known = {rules.combination(m.groups) for m in here}
        for member in come:
            nft.run(rules.add_member(vpc, member, rules.combination(member.groups) in known))
            known.add(rules.combination(member.groups))
        for member in go:
            nft.run(rules.remove_member(vpc, member))
        stepwise = shown()
        nft.run(rules.vpc_table(vpc, stay, ENDPOINTS))
        combos = {rules.combination(m.groups) for m in crowd} - {rules.combination(m.groups) for m in stay}
        assert [b for b in stepwise if not any(f"_{c}" in b for c in combos)] == shown()

    apart(work)
