"""What a proxy that outlived its engine tells about its targets."""

from __future__ import annotations

from collections.abc import Sequence

from havre.engines.haproxy.checker import Key
from havre.engines.haproxy.text import name
from havre.kernel.balancer import Balancer

_MAINTENANCE = 0x01 | 0x02 | 0x20  # forced, inherited, by name resolution; 0x04 only says how the configuration began


def found_healthy(servers_state: str, balancers: Sequence[Balancer]) -> set[Key]:
    """Targets that get work at this moment, from the answer to ``show servers state``."""
    working: set[tuple[str, str, int]] = set()
    for line in servers_state.splitlines():
        words = line.split()
        if len(words) < 20 or words[0].startswith("#") or not words[6].isdigit():
            continue
        if not int(words[6]) & _MAINTENANCE and words[18].isdigit():
            working.add((words[1], words[4], int(words[18])))
    return {
        (pool.id, target.id)
        for balancer in balancers
        for pool in balancer.pools
        for target in pool.targets
        if (name("p", pool.id), target.address, target.port) in working
    }


def bound_by(configuration: str) -> set[tuple[str, int, str]]:
    """(address, port, namespace) of every place where a proxy with this configuration listens."""
    found: set[tuple[str, int, str]] = set()
    for line in configuration.splitlines():
        words = line.split()
        if words[:1] == ["bind"] and len(words) > 1 and not words[1].startswith("unix@"):
            address, _, port = words[1].rpartition(":")
            namespace = words[3].strip("'") if words[2:3] == ["namespace"] else ""
            found.add((address, int(port), namespace))
    return found
