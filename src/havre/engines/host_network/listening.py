"""Which ports of this machine somebody listens on, at whatever address: a port that is bound to all of them collides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_LISTENS = "0A"
_UNCONNECTED = "07"


def tcp_ports(proc: Path = Path("/proc/net")) -> frozenset[int]:
    return frozenset(port for file in ("tcp", "tcp6") for port in _listeners(proc / file))


def udp_ports(proc: Path = Path("/proc/net")) -> frozenset[int]:
    return frozenset(port for file in ("udp", "udp6") for port, state in _sockets(proc / file) if state == _UNCONNECTED)


def _listeners(path: Path) -> Iterator[int]:
    """The kernel lists them first: the connections behind them, which may be many, are not read."""
    for port, state in _sockets(path):
        if state != _LISTENS:
            return
        yield port


def _sockets(path: Path) -> Iterator[tuple[int, str]]:
    """(local port, state); none where the file is not there (no IPv6)."""
    try:
        with path.open() as lines:
            next(lines, None)
            for line in lines:
                _, local, _, state, _ = line.split(None, 4)
                yield int(local.rpartition(":")[2], 16), state
    except OSError:
        return
