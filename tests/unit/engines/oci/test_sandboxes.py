"""What holds the namespaces of tasks, as it is looked at while threads make and remove others."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

import pytest

from havre.engines.oci.containers.engine import OciContainers
from havre.engines.oci.containers.records import Process
from havre.engines.oci.containers.sandboxes import Held, Sandboxes
from havre.engines.ports import RunState
from havre.kernel.world import World


def _held(workload: str) -> Held:
    return Held(f"id-{workload}", f"name-{workload}", workload, Process(1, 0), 1.0)


async def test_one_that_goes_while_somebody_looks_is_no_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = OciContainers("t0000000", tmp_path, World(time.time, Random(1)))
    sandboxes: Sandboxes = engine.sandboxes
    engine._settled = True
    state = Held.state

    def looked_at(held: Held) -> RunState:
        """A thread removes another one, and makes one, while the kernel is asked for this one."""
        sandboxes.held.pop("b", None)
        sandboxes.held["c"] = _held("c")
        return state(held)

    monkeypatch.setattr(Held, "state", looked_at)
    sandboxes.held |= {"a": _held("a"), "b": _held("b")}
    assert [found.workload for found in await engine.containers()] == ["a", "b"]
    assert [found.workload for found in await engine.containers()] == ["a", "c"]
    assert (await engine.inspect("id-c")).workload == "c"
    await engine.close()
