"""Directories of file systems on the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from havre.apps.file_systems import DiskShelf
from havre.kernel.errors import Temporary


async def test_made_once_measured_and_removed(tmp_path: Path) -> None:
    shelf = DiskShelf(tmp_path / "files")
    await shelf.make("fs-1")
    path = tmp_path / "files" / "fs-1"
    assert (tmp_path / "files").stat().st_mode & 0o777 == 0o700 and path.stat().st_mode & 0o777 == 0o755
    (path / "below").mkdir()
    (path / "below" / "file").write_bytes(b"x" * 10_000)
    (path / "link").symlink_to("/etc/passwd")
    await shelf.make("fs-1")
    assert 10_000 <= await shelf.size("fs-1") < 100_000
    await shelf.remove("fs-1")
    await shelf.remove("fs-1")
    assert not list((tmp_path / "files").iterdir()) and Path("/etc/passwd").exists()


async def test_a_removal_that_was_cut_off_goes_on(tmp_path: Path) -> None:
    (tmp_path / ".gone-fs-1" / "below").mkdir(parents=True)
    await DiskShelf(tmp_path).remove("fs-1")
    assert not list(tmp_path.iterdir())


async def test_a_disk_that_refuses_may_take_it_later(tmp_path: Path) -> None:
    (tmp_path / "files").write_text("in the way")
    with pytest.raises(Temporary):
        await DiskShelf(tmp_path / "files").make("fs-1")


async def test_a_reset_forgets_all_of_them(tmp_path: Path) -> None:
    shelf = DiskShelf(tmp_path / "files")
    await shelf.reset()
    for name in ("fs-1", "fs-2"):
        await shelf.make(name)
        (tmp_path / "files" / name / "file").write_text("text")
    (tmp_path / "files" / ".gone-fs-3").mkdir()
    await shelf.reset()
    assert not list((tmp_path / "files").iterdir())
