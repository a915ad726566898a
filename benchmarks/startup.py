"""``havre up`` until healthy, and the memory of all its processes at rest, against ministack."""

from __future__ import annotations

import sys
import time

from benchmarks import _peers
from benchmarks._harness import Promise, finish, rounds

REST = 2.0
"""Seconds until a started program counts as resting."""


def main() -> None:
    took = Promise("havre up until healthy", "s", "<= 1", "ministack")
    memory = Promise("memory at rest, all processes (PSS)", "MiB", "<= 2", "ministack")
    resident = Promise("memory at rest, all processes (sum of RSS)", "MiB", "<= 2", "ministack")
    with _peers.havre(), _peers.ministack():
        pass  # caches on disk are warm for both
    for number in range(rounds(9)):
        seen = {}
        for start in (_peers.havre, _peers.ministack) if number % 2 else (_peers.ministack, _peers.havre):
            with start() as running:
                time.sleep(REST)
                seen[start] = running.took, running.memory(), running.rss()
        for promise, index in ((took, 0), (memory, 1), (resident, 2)):
            promise.add(seen[_peers.havre][index], seen[_peers.ministack][index])
    finish(took, memory, resident)


if __name__ == "__main__":
    sys.exit(main())
