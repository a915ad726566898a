"""What there is of the machine's memory, and what a container's limit leaves of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from havre.engines.memory import available_memory, total_memory


@pytest.fixture
def meminfo(tmp_path: Path) -> Path:
    made = tmp_path / "meminfo"
    made.write_text("MemTotal:       1000 kB\nMemFree:        100 kB\nMemAvailable:    600 kB\n")
    return made


def both(meminfo: Path, mount: Path) -> tuple[int, int]:
    """KiB in all, and available."""
    return total_memory(meminfo, mount) // 1024, available_memory(meminfo, mount) // 1024


def groups(where: Path, **files: str) -> Path:
    where.mkdir(exist_ok=True)
    for name, text in files.items():
        (where / f"memory.{name}").write_text(text)
    return where


def test_a_machine_has_what_the_kernel_says(meminfo: Path, tmp_path: Path) -> None:
    assert both(meminfo, tmp_path) == (1000, 600), "the root of version 2 has no limit"
    groups(tmp_path / "memory", limit_in_bytes="9223372036854771712\n", usage_in_bytes="409600\n", stat="")
    assert both(meminfo, tmp_path) == (1000, 600), "that of version 1 has one without end"


def test_a_container_without_a_limit_has_the_machines(meminfo: Path, tmp_path: Path) -> None:
    groups(tmp_path, max="max\n", current="409600\n", stat="inactive_file 0\n")
    assert both(meminfo, tmp_path) == (1000, 600)


def test_a_container_has_what_its_limit_leaves_and_what_its_files_hold(meminfo: Path, tmp_path: Path) -> None:
    groups(tmp_path, max="512000\n", current="409600\n", stat="anon 1\ninactive_file 102400\n")
    assert both(meminfo, tmp_path) == (500, 200)


def test_likewise_in_version_1(meminfo: Path, tmp_path: Path) -> None:
    stat = "inactive_file 1\ntotal_inactive_file 102400\n"
    groups(tmp_path / "memory", limit_in_bytes="512000\n", usage_in_bytes="409600\n", stat=stat)
    assert both(meminfo, tmp_path) == (500, 200)


def test_the_machine_may_have_less_than_the_limit_says(meminfo: Path, tmp_path: Path) -> None:
    groups(tmp_path, max="1000000\n", current="1024\n", stat="inactive_file 0\n")
    assert both(meminfo, tmp_path)[1] == 600
    groups(tmp_path, max="512000\n", current="524288\n", stat="inactive_file 0\n")
    assert both(meminfo, tmp_path) == (500, 0), "no less than none"
