"""The files and words that control groups of workloads are made with; that they hold is shown on a real engine."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

import pytest

from havre.engines.groups import Controllers, Limits, Slices, Unified, groups, hand_down, limits
from havre.kernel.workload import Container, Workload

MIB = 1024 * 1024
HALF = Limits(cpu=500_000, shares=512, memory=64 * MIB)


def work(*containers: Container, cpu: int = 0, memory: int = 0) -> Workload:
    return Workload("w", "arn:w", "000000000000", "us-east-1", containers, cpu=cpu, memory=memory)


def test_what_holds_a_workload() -> None:
    one, other = Container("one", "i", cpu=100, swap_mib=16), Container("other", "i")
    assert limits(work(one, other), 4) is None
    assert limits(work(one, other, memory=64), 4) == Limits(0, 102, 64 * MIB, 16 * MIB)
    assert limits(work(one, other, cpu=512, memory=64), 4) == Limits(500_000, 512, 64 * MIB, 16 * MIB)
    more_than_there_is = limits(work(one, cpu=4096), 2)
    assert more_than_there_is is not None
    assert more_than_there_is.cpu == 2_000_000


@pytest.mark.parametrize(("shares", "weight"), [(2, 1), (1024, 39), (262_144, 10_000)])
def test_weights_are_runcs(shares: int, weight: int) -> None:
    assert Limits(0, shares, 0).weight == weight


def _tree(mount: Path, files: Sequence[str]) -> None:
    for name in files:
        (mount / name).parent.mkdir(parents=True, exist_ok=True)
        (mount / name).write_text("")


async def test_version_1_has_a_tree_for_each_controller(tmp_path: Path) -> None:
    root = "havre-i-tasks"
    for controller in ("cpu", "memory", "pids"):
        (tmp_path / controller).mkdir()
    cpu = [f"cpu/{root}/w/{n}" for n in ("cpu.shares", "cpu.cfs_period_us", "cpu.cfs_quota_us")]
    memory = [f"memory/{root}/w/memory.limit_in_bytes", f"memory/{root}/w/memory.memsw.limit_in_bytes"]
    _tree(tmp_path, [*cpu, *memory, f"memory/{root}/memory.use_hierarchy"])
    made = groups("i", "cgroupfs", tmp_path)
    assert isinstance(made, Controllers)
    assert await made.make("w", HALF) == f"/{root}/w"
    assert [(tmp_path / n).read_text() for n in cpu] == ["512", "100000", "50000"]
    assert [(tmp_path / n).read_text() for n in memory] == [str(64 * MIB)] * 2


async def test_version_2_hands_controllers_down(tmp_path: Path) -> None:
    made_files = ["cpu.weight", "cpu.max", "memory.max", "memory.swap.max"]
    _tree(tmp_path, ["cgroup.controllers", "cgroup.subtree_control", "havre-i-tasks/cgroup.subtree_control"])
    _tree(tmp_path / "havre-i-tasks" / "w", made_files)
    made = groups("i", "cgroupfs", tmp_path)
    assert isinstance(made, Unified)
    assert await made.make("w", HALF) == "/havre-i-tasks/w"
    found = [(tmp_path / "havre-i-tasks" / "w" / n).read_text() for n in made_files]
    assert found == ["20", "50000 100000", str(64 * MIB), "0"]
    for group in (tmp_path, tmp_path / "havre-i-tasks"):
        assert (group / "cgroup.subtree_control").read_text() == "+cpu +memory"


def test_the_root_of_a_container_is_emptied_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel hands nothing down from a group with processes, but from the machine's own root."""
    _tree(tmp_path, ["cgroup.subtree_control", "cgroup.procs", "havre-aside/cgroup.procs"])
    (tmp_path / "cgroup.procs").write_text("0\n7\n8\n")
    moved: list[str] = []
    code = errno.EBUSY

    def write(path: Path, value: int | str) -> None:
        there = (tmp_path / "cgroup.procs").read_text().split()
        if path.name == "cgroup.procs":
            (tmp_path / "cgroup.procs").write_text("\n".join(pid for pid in there if pid != value))
            moved.append(str(value))
            if value == "8":
                raise ProcessLookupError
        elif set(there) - {"0"}:
            raise OSError(code, "busy")
        else:
            path.write_text(str(value))

    monkeypatch.setattr("havre.engines.groups.write", write)
    hand_down(tmp_path, "+cpu +memory")
    assert moved == ["7", "8"]
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu +memory"
    (tmp_path / "cgroup.procs").write_text("9")
    code = errno.ENOENT
    with pytest.raises(OSError, match="busy"):
        hand_down(tmp_path, "+pids")
    assert moved == ["7", "8"]


async def test_groups_of_workloads_that_are_gone_go(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("")
    root = tmp_path / "havre-i-tasks"
    for name in ("here", "gone", "ending/container"):
        (root / name).mkdir(parents=True)
    made = groups("i", "cgroupfs", tmp_path)
    await made.tidy({"here"})
    assert sorted(p.name for p in root.iterdir()) == ["ending", "here"]
    (root / "ending" / "container").rmdir()
    await made.tidy(())
    assert not root.exists()
    await made.tidy(())


class _Systemd:
    def __init__(self, code: int = 0, said: str = "") -> None:
        self.code, self.said = code, said
        self.asked: list[list[str]] = []

    async def __call__(self, command: Sequence[str]) -> tuple[int, str]:
        self.asked.append(list(command)[6:])
        return self.code, self.said


async def test_systemd_is_asked_for_a_slice(tmp_path: Path) -> None:
    systemd = _Systemd()
    assert await Slices("i", tmp_path, systemd).make("w", HALF) == "havre-i-w.slice"
    (asked,) = systemd.asked
    assert asked[:5] == ["StartTransientUnit", "ssa(sv)a(sa(sv))", "havre-i-w.slice", "fail", "5"]
    properties = dict(zip(asked[5:-1:3], asked[7:-1:3], strict=True))
    assert properties == {
        "Description": "Havre: limits of w",
        "CPUWeight": "20",
        "CPUQuotaPerSecUSec": "500000",
        "MemoryMax": str(64 * MIB),
        "MemorySwapMax": "0",
    }
    again = _Systemd(1, "Call failed: Unit havre-i-w.slice was already loaded or has a fragment file.")
    assert await Slices("i", tmp_path, again).make("w", HALF) == "havre-i-w.slice"
    with pytest.raises(OSError, match="Access denied"):
        await Slices("i", tmp_path, _Systemd(1, "Call failed: Access denied")).make("w", HALF)


async def test_slices_that_are_gone_are_stopped(tmp_path: Path) -> None:
    above = tmp_path / "havre.slice" / "havre-i.slice"
    for name in ("havre-i-here.slice", "havre-i-gone.slice", "havre-i-ending.slice/docker-1.scope"):
        (above / name).mkdir(parents=True)
    systemd = _Systemd()
    await Slices("i", tmp_path, systemd).tidy({"here"})
    assert systemd.asked == [["StopUnit", "ss", "havre-i-gone.slice", "replace"]]
    await Slices("other", tmp_path, systemd).tidy(())
    assert len(systemd.asked) == 1


@pytest.mark.parametrize(
    ("driver", "at"), [("cgroupfs", "havre-i-tasks/w"), ("systemd", "havre.slice/havre-i.slice/havre-i-w.slice")]
)
def test_version_2_tells_what_was_killed(tmp_path: Path, driver: str, at: str) -> None:
    (tmp_path / "cgroup.controllers").write_text("")
    made = groups("i", driver, tmp_path)
    assert made.killed("w") == 0
    (tmp_path / at).mkdir(parents=True)
    (tmp_path / at / "memory.events").write_text("low 0\nmax 19\noom 1\noom_kill 2\noom_group_kill 0\n")
    assert made.killed("w") == 2
    assert made.killed("other") == 0
