"""Ports for servers of tests: none that the kernel, or an engine, gives away by itself in the meantime."""

from __future__ import annotations

import contextlib
import socket
from random import SystemRandom

_CHANCE = SystemRandom()
"""Not the one that hypothesis and tests seed: two processes must not try the same ports."""


def free_port() -> int:
    """One on which nobody listens, on no address; below those of outgoing connections."""
    while True:
        port = _CHANCE.randrange(20_000, 30_000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("0.0.0.0", port))
            return port
