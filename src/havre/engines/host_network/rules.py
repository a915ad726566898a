"""Security groups as nftables rules: what a VPC's namespace forwards, and what reaches a load balancer on the host.

Two chains see each packet, one after the other: the sender's groups must let it leave, the receiver's let it in. What
belongs to an accepted flow passes (stateful; as in AWS, a flow goes on when the rule that let it in is removed). An
address has the chain of its set of groups, found in a map; so a rule costs nothing to whom it does not concern, and one
interface more is one element more. A reference to a group is a set with the addresses of its members.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple

from havre.kernel.addresses import inner_address, parse_cidr
from havre.kernel.vpc import NetworkRule, SecurityGroup, Vpc

TABLE = "inet havre"
WAY_OUT = "out"
"""The link to the host in a VPC's namespace."""
BRIDGE = "docker0"
"""Where containers in bridge mode come from with a Docker Engine."""
LINKED = "hb"
"""How the links begin that they come from without one (engines/oci/containers/bridge.py)."""
ANYWHERE = "0.0.0.0/0"
RESOLVER = "169.254.169.253"
"""Where every VPC's DNS server answers, besides the third address of the VPC."""
ENDPOINT = "169.254.169.1"
"""Where Havre's AWS API answers in every VPC."""


class Member(NamedTuple):
    """An address and its security groups; none lets everything pass (network load balancers)."""

    address: str
    groups: tuple[str, ...]


def combination(groups: Iterable[str]) -> str:
    """The name of the chain of a set of groups."""
    return sha256(" ".join(sorted(groups)).encode()).hexdigest()[:12]


def vpc_table(vpc: Vpc, members: Sequence[Member], endpoints: Sequence[tuple[str, int]]) -> str:
    """The whole table, in place of the one before, in one transaction. ``endpoints``: addresses and TCP ports that answer
    everyone in the VPC."""
    groups = sorted(vpc.security_groups, key=lambda g: g.id)
    lines = [f"table {TABLE}", f"delete table {TABLE}", f"table {TABLE} {{"]
    for id in sorted(known_groups(vpc)):
        own = [m.address for m in members if id in m.groups]
        lines += [f"set {set_name(id)} {{", "type ipv4_addr", *_elements(own), "}"]
    for group in groups:
        lines += [*_group_chain(group, "in"), *_group_chain(group, "out")]
    for combo in sorted({tuple(sorted(m.groups)) for m in members}):
        lines += _combination_chains(combo, vpc)
    lines += _map("arriving", [f"{m.address} : goto in_{combination(m.groups)}" for m in members])
    lines += _map("leaving", [f"{m.address} : goto out_{combination(m.groups)}" for m in members])
    lines += _base_chains(vpc, endpoints)
    return "\n".join([*lines, "}", ""])


def known_groups(vpc: Vpc) -> set[str]:
    """The VPC's groups, and those that its rules mention."""
    mentioned = {rule.group for g in vpc.security_groups for rule in (*g.ingress, *g.egress) if rule.group}
    return mentioned | {g.id for g in vpc.security_groups}


def set_name(group: str) -> str:
    return f"members_{group.removeprefix('sg-')}"


def _chain(group: str, way: str) -> str:
    return f"{group.removeprefix('sg-')}_{way}"


def _group_chain(group: SecurityGroup, way: str) -> list[str]:
    rules = group.ingress if way == "in" else group.egress
    side = "saddr" if way == "in" else "daddr"
    return [f"chain g_{_chain(group.id, way)} {{", *(f"{_match(rule, side)}accept" for rule in rules), "}"]


def _combination_chains(groups: Sequence[str], vpc: Vpc) -> list[str]:
    """Groups that the VPC does not know (any more) let nothing pass."""
    there = {g.id for g in vpc.security_groups}
    lines: list[str] = []
    for way in ("in", "out"):
        jumps = [f"jump g_{_chain(id, way)}" for id in groups if id in there]
        lines += [f"chain {way}_{combination(groups)} {{", *jumps, "drop" if groups else "accept", "}"]
    return lines


def _match(rule: NetworkRule, side: str) -> str:
    """What a rule matches on, with a blank behind it; "" for everything."""
    where = ""
    if rule.group:
        where = f"ip {side} @{set_name(rule.group)} "
    elif rule.cidr and parse_cidr(rule.cidr).bits:
        where = f"ip {side} {parse_cidr(rule.cidr)} "
    return where + _protocol(rule)


def _protocol(rule: NetworkRule) -> str:
    first, last = rule.from_port, rule.to_port
    if rule.protocol == "-1":
        return ""
    if rule.protocol in ("tcp", "udp"):
        if first <= 0 and last in (-1, 65535):
            return f"meta l4proto {rule.protocol} "
        return f"{rule.protocol} dport {first} " if first == last else f"{rule.protocol} dport {first}-{last} "
    if rule.protocol == "icmp":
        kind = f"icmp type {first} " if first >= 0 else "meta l4proto icmp "
        return kind + (f"icmp code {last} " if first >= 0 and last >= 0 else "")
    return f"meta l4proto {58 if rule.protocol == 'icmpv6' else rule.protocol} "


def _elements(elements: Sequence[str]) -> list[str]:
    return [f"elements = {{ {', '.join(elements)} }}"] if elements else []


def _map(name: str, elements: Sequence[str]) -> list[str]:
    return [f"map {name} {{", "type ipv4_addr : verdict", *_elements(elements), "}"]


def _ways(vpc: Vpc) -> list[str]:
    """Which subnet may send where through the internet gateway."""
    if not vpc.internet:
        return []
    return [f'oifname "{WAY_OUT}" ip saddr {s.cidr} {_to(way)}accept' for s in vpc.subnets for way in s.internet]


def _to(cidr: str) -> str:
    return f"ip daddr {cidr} " if parse_cidr(cidr).bits else ""


def _base_chains(vpc: Vpc, endpoints: Sequence[tuple[str, int]]) -> list[str]:
    known = ["ct state established,related accept", "ct state invalid drop"]
    served = [
        'iif "lo" accept',
        f"ip daddr {{ {', '.join([*resolvers(vpc), RESOLVER])} }} meta l4proto {{ tcp, udp }} th dport 53 accept",
        *(f"ip daddr {address} tcp dport {port} accept" for address, port in endpoints),
    ]
    return [
        *_base("leave", "forward", 0, "drop", [*known, "ip saddr vmap @leaving"]),
        *_base("arrive", "forward", 10, "drop", [known[0], "ip daddr vmap @arriving", *_ways(vpc)]),
        *_base("ask", "input", 0, "drop", [*known, *served, "ip saddr vmap @leaving"]),
        *_base("reach", "input", 10, "drop", [known[0], *served, "ip daddr vmap @arriving"]),
        # one balancer's address calls another's by "lo": that is where both of their groups are asked
        *_base("call", "output", 0, "accept", [known[0], "ip saddr vmap @leaving"]),
        *_base("meet", "output", 10, "accept", [known[0], "ip daddr vmap @arriving"]),
        "chain translate {",
        "type nat hook postrouting priority srcnat",
        f'oifname "{WAY_OUT}" masquerade',
        "}",
    ]


def _base(name: str, hook: str, priority: int, policy: str, rules: Sequence[str]) -> list[str]:
    return [f"chain {name} {{", f"type filter hook {hook} priority {priority}; policy {policy};", *rules, "}"]


def resolvers(vpc: Vpc) -> list[str]:
    """The third address of the VPC's blocks."""
    return [parse_cidr(cidr).resolver for cidr in vpc.cidrs]


def add_member(vpc: Vpc, member: Member, known: bool) -> str:
    """One interface more. ``known`` tells that its combination of groups has its chains."""
    lines: list[str] = []
    if not known:
        lines += [f"table {TABLE} {{", *_combination_chains(sorted(member.groups), vpc), "}"]
    combo = combination(member.groups)
    lines += [
        f"add element {TABLE} arriving {{ {member.address} : goto in_{combo} }}",
        f"add element {TABLE} leaving {{ {member.address} : goto out_{combo} }}",
    ]
    there = known_groups(vpc)
    lines += [f"add element {TABLE} {set_name(id)} {{ {member.address} }}" for id in member.groups if id in there]
    return "\n".join([*lines, ""])


def remove_member(vpc: Vpc, member: Member) -> str:
    lines = [f"delete element {TABLE} {name} {{ {member.address} }}" for name in ("arriving", "leaving")]
    there = known_groups(vpc)
    lines += [f"delete element {TABLE} {set_name(id)} {{ {member.address} }}" for id in member.groups if id in there]
    return "\n".join([*lines, ""])


class HostBalancer(NamedTuple):
    """A load balancer on the host: its loopback address, which names the other one, and the rules that let clients in
    (None: all)."""

    address: str
    rules: tuple[NetworkRule, ...] | None


def host_table(
    name: str, prefix: str, links: Sequence[str], balancers: Sequence[HostBalancer], lent: Sequence[str] = ()
) -> str:
    """The instance's table on the host. ``prefix`` begins the names of its links, ``links`` are the VPCs' ends of them.
    ``lent`` are addresses for containers on Docker's bridge, and for nobody from elsewhere.

    From a VPC nothing of this host can be reached, nor containers of Docker's networks, nor another VPC: only what lies
    beyond the host.
    """
    lines = [f"table inet {name}", f"delete table inet {name}", f"table inet {name} {{"]
    lines += ["set links {", "type ipv4_addr", *_elements(list(links)), "}"]
    for each in balancers:
        if each.rules is not None:
            accepted = [f"{_match(rule, 'saddr')}accept" for rule in each.rules if not rule.group]
            known = "ct state established,related accept"
            lines += [f"chain {_host_chain(each)} {{", known, *accepted, "drop", "}"]
    lines += ["set lent {", "type ipv4_addr", *_elements(list(lent)), "}"]
    filtered = [
        f"{address} : goto {_host_chain(each)}"
        for each in balancers
        if each.rules is not None
        for address in (each.address, inner_address(each.address))
    ]
    lines += _map("balancers", filtered)
    inner = ("docker", "br-", prefix[:2], LINKED, "veth", "virbr")
    lines += _base(
        "enter",
        "input",
        -5,
        "accept",
        [
            f'iifname "{prefix}*" drop',
            f'iifname != {{ "lo", "{BRIDGE}" }} iifname != "{LINKED}*" ip daddr @lent drop',
            f'iifname {{ "lo", "{BRIDGE}" }} ip daddr vmap @balancers',
            f'iifname "{LINKED}*" ip daddr vmap @balancers',
        ],
    )
    lines += _base("pass", "forward", -5, "accept", [f'iifname "{prefix}*" oifname "{each}*" drop' for each in inner])
    lines += [
        "chain translate {",
        "type nat hook postrouting priority srcnat",
        f'ip saddr @links oifname != "{prefix}*" masquerade',
        "}",
    ]
    return "\n".join([*lines, "}", ""])


def _host_chain(balancer: HostBalancer) -> str:
    return f"lb_{balancer.address.replace('.', '_')}"
