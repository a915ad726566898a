"""Directories of file systems: resolved beneath their root, made with their owner, seen by who acts as another."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.engines.shares import NOBODY, Shares, acting, id_map
from havre.kernel.errors import Permanent
from havre.kernel.workload import Share

pytestmark = pytest.mark.root
FS = "fs-1"


@pytest.fixture
async def shares(tmp_path: Path) -> AsyncIterator[Shares]:
    (tmp_path / "files" / FS).mkdir(parents=True)
    found = Shares(tmp_path / "files", tmp_path / "mounts")
    yield found
    found.release()
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    assert not list((tmp_path / "mounts").glob("*"))


def root(tmp_path: Path) -> Path:
    return tmp_path / "files" / FS


def as_user(uid: int, gid: int, where: Path, do: Callable[[], None]) -> int:
    """In a process of its own that is in ``where``; 0, or the number of its error."""
    child = os.fork()
    if not child:
        code = 255
        try:
            os.chdir(where)
            os.setgroups([])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            do()
            code = 0
        except OSError as error:
            code = error.errno or 255
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


async def test_a_directory_is_mounted_once(shares: Shares, tmp_path: Path) -> None:
    share = Share(FS)
    for _ in range(2):
        await shares.ensure(share, None)
    assert Path("/proc/self/mountinfo").read_text().count(str(shares.at(share, None))) == 1
    (shares.at(share, None) / "file").write_text("text")
    assert (root(tmp_path) / "file").read_text() == "text"
    # another process of the same node, after a crash
    await Shares(tmp_path / "files", tmp_path / "mounts").ensure(share, None)
    assert Path("/proc/self/mountinfo").read_text().count(str(shares.at(share, None))) == 1


async def test_read_only(shares: Shares) -> None:
    share = Share(FS, read_only=True)
    await shares.ensure(share, None)
    with pytest.raises(OSError, match="Read-only"):
        (shares.at(share, None) / "file").write_text("text")


async def test_programs_and_devices_have_no_powers(shares: Shares) -> None:
    await shares.ensure(Share(FS), None)
    at = str(shares.at(Share(FS), None))
    (line,) = [each for each in Path("/proc/self/mountinfo").read_text().splitlines() if at in each]
    assert {"nosuid", "nodev"} <= set(line.split(" ")[5].split(","))


@pytest.mark.parametrize("target", ["/etc", "../..", "/proc/self/root", "../../mounts"])
async def test_links_do_not_lead_out(shares: Shares, tmp_path: Path, target: str) -> None:
    (root(tmp_path) / "link").symlink_to(target)
    for path in ("/link", "/link/below"):
        with pytest.raises(Permanent):
            await shares.ensure(Share(FS, path, owner=(0, 0, 0o755)), None)
    assert not list((tmp_path / "mounts").glob("*"))


@pytest.mark.parametrize("path", ["/..", "/../..", "/a/../../.."])
async def test_dots_do_not_lead_out(shares: Shares, tmp_path: Path, path: str) -> None:
    (root(tmp_path) / "a").mkdir()
    with pytest.raises(Permanent):
        await shares.ensure(Share(FS, path), None)


async def test_what_is_not_there_is_made_with_its_owner_or_refused(shares: Shares, tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="No such file or directory"):
        await shares.ensure(Share(FS, "/a/b"), None)
    assert not (root(tmp_path) / "a").exists()
    await shares.ensure(Share(FS, "/a/b", owner=(5, 6, 0o2770)), None)
    made, above = (root(tmp_path) / "a" / "b").stat(), (root(tmp_path) / "a").stat()
    assert (made.st_uid, made.st_gid, made.st_mode & 0o7777) == (5, 6, 0o2770)
    assert (above.st_uid, above.st_gid, above.st_mode & 0o7777) == (0, 0, 0o755)
    os.chown(root(tmp_path) / "a" / "b", 7, 8)
    await shares.ensure(Share(FS, "/a/b", owner=(5, 6, 0o2770), read_only=True), None)
    assert (root(tmp_path) / "a" / "b").stat().st_uid == 7  # it was there


async def test_a_file_system_that_is_gone(shares: Shares) -> None:
    with pytest.raises(Permanent, match="fs-2"):
        await shares.ensure(Share("fs-2"), None)


async def test_one_acts_as_another(shares: Shares, tmp_path: Path) -> None:
    os.chown(root(tmp_path), 1000, 1001)
    share = Share(FS, user=(1000, 1001))
    await shares.ensure(share, (42, 43))
    at = shares.at(share, (42, 43))
    assert as_user(42, 43, at, lambda: Path("file").touch()) == 0
    found = (root(tmp_path) / "file").stat()
    assert (found.st_uid, found.st_gid) == (1000, 1001)
    assert ((at / "file").stat().st_uid, (at / "file").stat().st_gid) == (42, 43)
    assert as_user(44, 45, at, lambda: Path("other").touch()) == errno.EACCES
    # what is everybody's is his, too; and others are themselves
    everybody = root(tmp_path) / "everybody"
    everybody.mkdir()
    everybody.chmod(0o777)
    assert as_user(42, 43, at / "everybody", lambda: Path("his").touch()) == 0
    assert as_user(44, 45, at / "everybody", lambda: Path("other").touch()) == 0
    owners = [(everybody / name).stat().st_uid for name in ("his", "other")]
    assert owners == [1000, 44]
    private = everybody / "private"
    private.write_text("of somebody else")
    private.chmod(0o600)
    assert as_user(42, 43, at / "everybody", lambda: print(Path("private").read_text())) == errno.EACCES


async def test_root_is_nobody_special_where_it_acts_as_another(shares: Shares, tmp_path: Path) -> None:
    os.chown(root(tmp_path), *NOBODY)
    secret = root(tmp_path) / "secret"
    secret.write_text("of somebody else")
    secret.chmod(0o600)
    os.chown(secret, 7, 7)
    share = Share(FS, squashed=True)
    await shares.ensure(share, (0, 0))
    at = shares.at(share, (0, 0))
    with pytest.raises(PermissionError):
        (at / "secret").read_text()
    (at / "mine").touch()
    assert (root(tmp_path) / "mine").stat().st_uid == NOBODY[0]


async def test_a_mount_as_a_descriptor(shares: Shares, tmp_path: Path) -> None:
    (root(tmp_path) / "file").write_text("text")
    tree = await shares.open(Share(FS), None)
    try:
        inside = os.open(".", os.O_RDONLY, dir_fd=tree)
        assert os.listdir(inside) == ["file"]  # noqa: PTH208  it has no path
        os.close(inside)
    finally:
        os.close(tree)
    assert not list((tmp_path / "mounts").glob("*"))


def test_who_acts_as_whom() -> None:
    plain, point, squashed = Share(FS), Share(FS, user=(1, 2)), Share(FS, squashed=True)
    assert acting(plain, (5, 5)) is None
    assert acting(point, (5, 6)) == ((5, 6), (1, 2))
    assert acting(point, (1, 2)) is None and acting(point, None) is None
    assert acting(squashed, (5, 5)) is None
    assert acting(squashed, (0, 3)) == ((0, 3), NOBODY) and acting(squashed, None) == ((0, 0), NOBODY)


@given(st.integers(0, 70_000), st.integers(0, 70_000))
def test_two_change_places_and_everybody_else_is_himself(who: int, acts: int) -> None:
    rows = [tuple(map(int, line.split())) for line in id_map(who, acts, False).splitlines()]
    assert len(rows) <= 5 and sum(count for _, _, count in rows) == 2**32 - 1

    def seen(disk: int) -> int:
        return next(to + disk - start for start, to, count in rows if start <= disk < start + count)

    assert (seen(acts), seen(who)) == (who, acts)
    for other in {0, 1, who + 1, acts + 1, 2**32 - 2} - {who, acts}:
        assert seen(other) == other
