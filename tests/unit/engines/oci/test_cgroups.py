"""Which files say what, in both versions of the kernel's interface."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from havre.engines.oci.cgroups import Limits, Needs, Version1, Version2, cgroups, cpus_of, why_not

MIB = 1 << 20


def file(path: Path, content: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


@pytest.fixture
def unified(tmp_path: Path) -> Path:
    """A mount of version 2 with one sandbox's group."""
    file(tmp_path / "cgroup.controllers", "cpuset cpu io memory pids")
    file(tmp_path / "cgroup.subtree_control")
    for name in ("pids.max", "memory.max", "memory.swap.max", "cpu.max", "cgroup.freeze", "cgroup.procs"):
        file(tmp_path / "havre-i/a" / name)
    file(tmp_path / "havre-i/a/cgroup.events", "populated 1\nfrozen 0\n")
    file(tmp_path / "havre-i/a/memory.events", "low 0\nmax 9\noom 2\noom_kill 1\noom_group_kill 0\n")
    return tmp_path


def test_version_2_is_told_by_its_file(unified: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert isinstance(cgroups("i", unified), Version2)
    assert isinstance(cgroups("i", tmp_path_factory.mktemp("v1")), Version1)


def test_version_2_hands_controllers_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[str, str]] = []
    monkeypatch.setattr(
        "havre.engines.groups.write", lambda p, v: written.append((str(p.relative_to(tmp_path)), str(v)))
    )
    groups = Version2("i", tmp_path)
    assert groups.make("a") == [str(tmp_path / "havre-i/a/cgroup.procs")]
    groups.make("b")
    assert written == [(f"{d}cgroup.subtree_control", "+cpu +memory +pids") for d in ("", "havre-i/")]
    assert groups.found() == ["a", "b"]


def test_version_2_limits(unified: Path) -> None:
    groups = Version2("i", unified)
    groups.limit("a", Limits(256 * MIB))
    groups.share("a", cpus_of(1769))
    at = unified / "havre-i/a"
    assert (at / "memory.max").read_text() == str(256 * MIB)
    assert (at / "memory.swap.max").read_text() == "0"
    assert (at / "pids.max").read_text() == "1024"
    assert (at / "cpu.max").read_text() == "20000 20000"
    groups.share("a", cpus_of(3538))
    assert (at / "cpu.max").read_text() == "40000 20000"


def test_version_2_freezes_and_waits_for_it(unified: Path) -> None:
    groups = Version2("i", unified)
    at = unified / "havre-i/a"

    def kernel() -> None:
        while (at / "cgroup.freeze").read_text() != "1":
            time.sleep(0.001)
        (at / "cgroup.events").write_text("populated 1\nfrozen 1\n")

    thread = threading.Thread(target=kernel)
    thread.start()
    groups.freeze("a")
    thread.join()
    assert "frozen 1" in (at / "cgroup.events").read_text()
    groups.thaw("a")
    assert (at / "cgroup.freeze").read_text() == "0"


def test_version_2_of_one_that_does_not_freeze(unified: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("havre.engines.oci.cgroups._PATIENCE", 0.0)
    with pytest.raises(OSError, match="does not freeze"):
        Version2("i", unified).freeze("a")


def test_pages_of_files_are_nothing_that_a_function_needs(unified: Path) -> None:
    groups, needs, at = Version2("i", unified), Needs(100 * MIB), unified / "havre-i/a"

    def now(peak: int, pages: int) -> int:
        (at / "memory.peak").write_text(str(peak * MIB))
        (at / "memory.stat").write_text(f"file {(pages + 5) * MIB}\nfile_mapped {2 * MIB}\nshmem {3 * MIB}\n")
        return needs.look(groups, "a") // MIB

    assert now(40, 10) == 30
    assert now(40, 30) == 30, "not looked at again"
    assert now(60, 40) == 30, "what grew is pages"
    assert now(95, 45) == 50
    assert now(95, 20) == 75, "near the bound the peak does not tell any more"
    assert needs.look(groups, "gone") == 75 * MIB
    needs.begin(groups, "a")
    assert now(20, 5) == 15


def test_version_2_memory(unified: Path) -> None:
    groups = Version2("i", unified)
    at = unified / "havre-i/a"
    assert groups.killed("a") == 1
    for now in (5, 9, 7):  # before Linux 5.19
        (at / "memory.current").write_text(str(now * MIB))
        peak = groups.peak("a")
    assert peak == 9 * MIB
    (at / "memory.peak").write_text(str(11 * MIB))
    assert groups.peak("a") == 11 * MIB
    (at / "cgroup.procs").write_text("12\n7\n")
    assert groups.processes("a") == [12, 7]
    assert groups.processes("gone") == []


def test_version_1_limits(tmp_path: Path) -> None:
    files = {
        "pids": ["pids.max", "cgroup.procs"],
        "memory": ["memory.limit_in_bytes", "memory.max_usage_in_bytes", "memory.oom_control"],
        "cpu": ["cpu.cfs_period_us", "cpu.cfs_quota_us"],
        "freezer": ["freezer.state"],
    }
    for controller, names in files.items():
        for name in names:
            file(tmp_path / controller / "havre-i/a" / name)
    groups = Version1("i", tmp_path)
    assert groups.make("a") == [str(tmp_path / c / "havre-i/a/tasks") for c in ("memory", "cpu", "pids", "freezer")]
    groups.limit("a", Limits(128 * MIB, 7))
    groups.share("a", 0.001)
    groups.freeze("a")
    told = {n: (tmp_path / c / "havre-i/a" / n).read_text() for c, names in files.items() for n in names}
    assert told["pids.max"] == "7"
    assert told["memory.limit_in_bytes"] == str(128 * MIB)
    assert told["memory.max_usage_in_bytes"] == "0"
    assert (told["cpu.cfs_period_us"], told["cpu.cfs_quota_us"]) == ("20000", "1000")
    assert told["freezer.state"] == "FROZEN"
    (tmp_path / "memory/havre-i/a/memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")
    assert groups.killed("a") == 3


def test_what_is_missing_is_named(tmp_path: Path, unified: Path) -> None:
    assert why_not(unified) == ""
    (unified / "cgroup.controllers").write_text("cpu memory")
    assert why_not(unified) == f"control groups lack pids below {unified}"
    empty = tmp_path / "none"
    empty.mkdir()
    assert why_not(empty).startswith("control groups lack memory, cpu, pids, freezer")
