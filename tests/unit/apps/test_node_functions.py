"""What a node may have of its machine for functions."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from havre.apps.node_functions import MachineMemory, dial, most_environments
from havre.engines.sandbox import Sandbox


def test_memory_is_looked_at_often_but_not_for_each_invocation(tmp_path: Path) -> None:
    source, now = tmp_path / "meminfo", [0.0]

    def there_is(available: int) -> None:
        source.write_text(f"MemTotal: {1000 << 10} kB\nMemFree: 1 kB\nMemAvailable: {available << 10} kB\n")

    there_is(100)
    memory = MachineMemory(lambda: now[0], source, tmp_path)
    assert memory.total == 1000 and not memory.short() and not memory.scarce()
    there_is(60)
    assert not memory.short(), "it was looked at a moment ago"
    now[0] = 1.0
    assert memory.short() and not memory.scarce()
    there_is(30)
    now[0] = 2.0
    assert memory.scarce()


def test_environments_are_bounded_by_descriptors() -> None:
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, most))
        assert most_environments() == 96
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (now, most))


async def test_a_sandbox_is_not_dialled_in_the_machines_own_network() -> None:
    """Its process has ended, and another one of the machine has its number: telemetry would reach the machine's loopback."""
    with pytest.raises(ConnectionError, match="has ended"):
        await dial(Sandbox("s", os.getpid(), -1, "", False))
