"""Files hold what was written, around the page cache and where a file system will not have that."""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from pathlib import Path

import pytest

from havre.dataplanes.registry import writing
from havre.dataplanes.registry.upload import create
from havre.dataplanes.registry.writing import BLOCK, LONGEST, PROBE, WholeFiles

SIZES = [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 200_000, LONGEST - 1, LONGEST, LONGEST + 1]


class Clock:
    """Of CPU time: ``step`` seconds pass between each two looks."""

    def __init__(self) -> None:
        self.now, self.step = 0.0, 1.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


CHEAP = 1e-6


def _files(clock: Clock | None = None) -> WholeFiles:
    """Those of a machine where the page cache is dear, and that is known."""
    files = WholeFiles(clock or Clock())
    with tempfile.TemporaryFile() as file:
        files.write(file.fileno(), [bytes(BLOCK)])
    return files


def _written(path: Path, size: int, files: WholeFiles | None = None) -> bytes:
    content = os.urandom(size)
    file = create(path)
    (files or _files()).write(file, [content[:5], content[5:70_000], content[70_000:]])
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

    files = _files()
    if step == "fcntl":
        monkeypatch.setattr(writing.fcntl, "fcntl", refuse_flag)
    else:
        monkeypatch.setattr(writing.os, "write", refuse_write)
    assert _written(tmp_path / "f", size, files) == (tmp_path / "f").read_bytes()


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

    files = _files()
    monkeypatch.setattr(writing.os, "write", short)
    assert _written(tmp_path / "f", 200_000, files) == (tmp_path / "f").read_bytes()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_refuses_is_heard(tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: int, data: bytes) -> int:
        raise OSError(code, os.strerror(code))

    files = _files()
    monkeypatch.setattr(writing.os, "write", refuse)
    monkeypatch.setattr(writing.os, "writev", refuse)
    with pytest.raises(OSError, match=os.strerror(code)):
        _written(tmp_path / "f", LONGEST, files)


def _takes_direct_writes(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_DIRECT))
    except OSError:
        return False
    return True


def _ways(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, int]]:
    """Whether a write goes around the page cache, and of how many bytes."""
    write, writev, seen = os.write, os.writev, []

    def note(file: int, size: int) -> None:
        seen.append((bool(fcntl.fcntl(file, fcntl.F_GETFL) & os.O_DIRECT), size))

    def watched(file: int, data: memoryview) -> int:
        note(file, len(data))
        return write(file, data)

    def watched_pieces(file: int, pieces: list[bytes]) -> int:
        note(file, sum(map(len, pieces)))
        return writev(file, pieces)

    monkeypatch.setattr(writing.os, "write", watched)
    monkeypatch.setattr(writing.os, "writev", watched_pieces)
    return seen


def test_whole_blocks_go_around_the_page_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, seen = _files(), _ways(monkeypatch)
    _written(tmp_path / "f", 3 * BLOCK + 9, files)
    around = _takes_direct_writes(tmp_path / "probe")
    assert seen == ([(True, 3 * BLOCK), (False, 9)] if around else [(False, 3 * BLOCK + 9)])


def test_where_the_page_cache_is_cheap_all_goes_through_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    clock.step = CHEAP
    files, seen = WholeFiles(clock), _ways(monkeypatch)
    for n in range(3 * PROBE):
        _written(tmp_path / str(n), 2 * BLOCK, files)
    assert seen == [(False, 2 * BLOCK)] * 3 * PROBE


def test_it_is_noticed_when_the_page_cache_becomes_cheap_or_dear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not _takes_direct_writes(tmp_path / "probe"):
        pytest.skip("this file system takes no direct writes")
    clock = Clock()
    files, seen = _files(clock), _ways(monkeypatch)

    def ways(count: int) -> set[bool]:
        seen.clear()
        for n in range(count):
            path = tmp_path / str(n)
            _written(path, BLOCK, files)
            path.unlink()
        return {around for around, _ in seen}

    assert ways(PROBE - 1) == {True}
    clock.step = CHEAP
    ways(100 * PROBE)
    assert ways(PROBE) == {False}
    clock.step = 1.0
    ways(1)
    assert ways(PROBE - 1) == {True}
