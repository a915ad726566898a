"""Files hold what was written, around the page cache and where a file system will not have that."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from havre.dataplanes.registry import writing
from havre.dataplanes.registry.upload import create
from havre.dataplanes.registry.writing import BLOCK, LONGEST, write_whole

SIZES = [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 200_000, LONGEST - 1, LONGEST, LONGEST + 1]


def _written(path: Path, size: int) -> bytes:
    content = os.urandom(size)
    file = create(path)
    write_whole(file, [content[:5], content[5:70_000], content[70_000:]])
    os.close(file)
    return content


@pytest.mark.parametrize("size", SIZES)
def test_all_of_it_is_there(tmp_path: Path, size: int) -> None:
    assert _written(tmp_path / "f", size) == (tmp_path / "f").read_bytes()


@pytest.mark.parametrize("size", SIZES)
def test_nothing_of_another_file_comes_along(tmp_path: Path, size: int) -> None:
    _written(tmp_path / "longer", LONGEST)
    assert _written(tmp_path / "f", size) == (tmp_path / "f").read_bytes()


@pytest.mark.parametrize("step", ["fcntl", "write"])
@pytest.mark.parametrize("size", SIZES)
def test_a_file_system_that_will_not_have_it(
    tmp_path: Path, size: int, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    control, write = fcntl.fcntl, os.write

    def refuse_flag(file: int, command: int, value: int = 0) -> int:
        if command == fcntl.F_SETFL and value & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return int(control(file, command, value))

    def refuse_write(file: int, data: bytes) -> int:
        if control(file, fcntl.F_GETFL) & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return write(file, data)

    if step == "fcntl":
        monkeypatch.setattr(writing.fcntl, "fcntl", refuse_flag)
    else:
        monkeypatch.setattr(writing.os, "write", refuse_write)
    assert _written(tmp_path / "f", size) == (tmp_path / "f").read_bytes()


@pytest.mark.parametrize("taken", [BLOCK, BLOCK + 7])
def test_a_write_that_takes_less_goes_on(tmp_path: Path, taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In whole blocks as before; behind a part of one the file system takes nothing more that way."""
    write, first = os.write, [True]

    def short(file: int, data: memoryview) -> int:
        if not first:
            return write(file, data)
        first.clear()
        flags = fcntl.fcntl(file, fcntl.F_GETFL)
        fcntl.fcntl(file, fcntl.F_SETFL, flags & ~os.O_DIRECT)
        done = write(file, data[:taken])
        fcntl.fcntl(file, fcntl.F_SETFL, flags)
        return done

    monkeypatch.setattr(writing.os, "write", short)
    assert _written(tmp_path / "f", 200_000) == (tmp_path / "f").read_bytes()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_refuses_is_heard(tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: int, data: bytes) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(writing.os, "write", refuse)
    with pytest.raises(OSError, match=os.strerror(code)):
        _written(tmp_path / "f", LONGEST)


def _takes_direct_writes(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_DIRECT))
    except OSError:
        return False
    return True


def test_whole_blocks_go_around_the_page_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, seen = os.write, []

    def watched(file: int, data: memoryview) -> int:
        seen.append((bool(fcntl.fcntl(file, fcntl.F_GETFL) & os.O_DIRECT), len(data)))
        return write(file, data)

    monkeypatch.setattr(writing.os, "write", watched)
    _written(tmp_path / "f", 3 * BLOCK + 9)
    assert ((True, 3 * BLOCK) in seen) == _takes_direct_writes(tmp_path / "probe")
