"""Ports for servers of tests: none that the kernel, or an engine, gives away by itself in the meantime."""

from __future__ import annotations

import contextlib
import os
import socket
from random import SystemRandom

_CHANCE = SystemRandom()
"""Not the one that hypothesis and tests seed: two processes must not try the same ports."""


_SIDE_BY_SIDE = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_NUMBER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
"""Of this process among those that share the tests: each has ports of its own, which no other takes before they are used."""
_given: set[int] = set()


def free_port() -> int:
    """One on which nobody listens, on no address, and that was not given before; below those of outgoing connections."""
    while True:
        port = _CHANCE.randrange(20_000 + _NUMBER, 30_000, _SIDE_BY_SIDE)
        if port in _given:
            continue
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("0.0.0.0", port))
            _given.add(port)
            return port
