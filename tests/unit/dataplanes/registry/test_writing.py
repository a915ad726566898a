"""Files hold what was written, through the page cache and around it, and where a file system will not have that."""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from havre.dataplanes.registry import writing
from havre.dataplanes.registry.upload import create
from havre.dataplanes.registry.writing import BLOCK, IOV_MAX, PROBE, RESERVE, Writer, write_all

SIZES = [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 200_000, RESERVE - 1, RESERVE, RESERVE + 1, 3 * RESERVE + 17]
STARTS = [0, 1, BLOCK - 1, BLOCK, 70_001]


class Clock:
    """Of CPU time: ``step`` seconds pass between each two looks."""

    def __init__(self) -> None:
        self.now, self.step = 0.0, 1.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


CHEAP = 1e-6


def _dear(clock: Clock | None = None) -> Writer:
    """That of a machine where the page cache is dear, and that is known."""
    writer = Writer(clock or Clock())
    with tempfile.TemporaryFile() as file:
        writer.append(file.fileno(), [bytes(BLOCK)], 0)
    return writer


def _written(path: Path, size: int, start: int = 0, writer: Writer | None = None) -> bytes:
    """What ought to be in the file: ``start`` bytes, and ``size`` more in three pieces."""
    content = os.urandom(start + size)
    file = create(path)
    try:
        write_all(file, [content[:start]])
        rest = content[start:]
        (writer or _dear()).append(file, [rest[:5], rest[5:70_000], rest[70_000:]], start)
        write_all(file, [b"behind"])
    finally:
        os.close(file)
    return content + b"behind"


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("size", SIZES)
def test_all_of_it_is_there(tmp_path: Path, size: int, start: int) -> None:
    assert _written(tmp_path / "f", size, start) == (tmp_path / "f").read_bytes()


@pytest.mark.parametrize("size", SIZES)
def test_nothing_of_another_file_comes_along(tmp_path: Path, size: int) -> None:
    _written(tmp_path / "longer", SIZES[-1])
    assert _written(tmp_path / "f", size) == (tmp_path / "f").read_bytes()


def test_an_upload_in_many_pieces_is_whole(tmp_path: Path) -> None:
    """Each begins in the block where the one before it ended."""
    writer, content = _dear(), os.urandom(2_000_000)
    file = create(tmp_path / "f")
    for at in range(0, len(content), 77_777):
        writer.append(file, [content[at : at + 77_777]], at)
    os.close(file)
    assert (tmp_path / "f").read_bytes() == content


def test_more_pieces_than_one_call_takes(tmp_path: Path) -> None:
    pieces = [os.urandom(3) for _ in range(IOV_MAX + 1)]
    file = create(tmp_path / "f")
    write_all(file, pieces)
    os.close(file)
    assert (tmp_path / "f").read_bytes() == b"".join(pieces)


@pytest.mark.parametrize("step", ["fcntl", "write", "posix_fadvise"])
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

    def refuse_advice(file: int, start: int, count: int, advice: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    writer = _dear()
    if step == "fcntl":
        monkeypatch.setattr(writing.fcntl, "fcntl", refuse_flag)
    elif step == "write":
        monkeypatch.setattr(writing.os, "write", refuse_write)
    else:
        monkeypatch.setattr(writing.os, "posix_fadvise", refuse_advice)
    assert _written(tmp_path / "f", size, 5, writer) == (tmp_path / "f").read_bytes()


@pytest.mark.parametrize("taken", [BLOCK, BLOCK + 7])
def test_a_write_around_that_takes_less_goes_on(tmp_path: Path, taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In whole blocks as before; behind a part of one the file system takes nothing more that way."""
    write, first = os.write, [True]

    def short(file: int, data: memoryview) -> int:
        flags = fcntl.fcntl(file, fcntl.F_GETFL)
        if not first or not flags & os.O_DIRECT:
            return write(file, data)
        first.clear()
        fcntl.fcntl(file, fcntl.F_SETFL, flags & ~os.O_DIRECT)
        done = write(file, data[:taken])
        fcntl.fcntl(file, fcntl.F_SETFL, flags)
        return done

    writer = _dear()
    monkeypatch.setattr(writing.os, "write", short)
    assert _written(tmp_path / "f", 200_000, 0, writer) == (tmp_path / "f").read_bytes()


@pytest.mark.parametrize("taken", [1, 5, 4103])
def test_a_write_that_takes_less_goes_on(tmp_path: Path, taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write

    def few(file: int, data: memoryview) -> int:
        return write(file, data[:taken])

    def first_of_them(file: int, pieces: Sequence[bytes]) -> int:
        return write(file, b"".join(pieces)[:taken])

    monkeypatch.setattr(writing.os, "write", few)
    monkeypatch.setattr(writing.os, "writev", first_of_them)
    assert _written(tmp_path / "f", 9000, 3, _cheap()) == (tmp_path / "f").read_bytes()


def _cheap() -> Writer:
    clock = Clock()
    clock.step = CHEAP
    return Writer(clock)


@pytest.mark.parametrize("way", [_dear, _cheap])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_refuses_is_heard(
    tmp_path: Path, code: int, way: Callable[[], Writer], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(file: int, data: object) -> int:
        raise OSError(code, os.strerror(code))

    writer, file = way(), create(tmp_path / "f")
    monkeypatch.setattr(writing.os, "write", refuse)
    monkeypatch.setattr(writing.os, "writev", refuse)
    with pytest.raises(OSError, match=os.strerror(code)):
        writer.append(file, [bytes(RESERVE)], 0)
    assert not fcntl.fcntl(file, fcntl.F_GETFL) & os.O_DIRECT
    os.close(file)


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
        if size:
            seen.append((bool(fcntl.fcntl(file, fcntl.F_GETFL) & os.O_DIRECT), size))

    def watched(file: int, data: memoryview) -> int:
        note(file, len(data))
        return write(file, data)

    def watched_pieces(file: int, pieces: Sequence[bytes]) -> int:
        note(file, sum(map(len, pieces)))
        return writev(file, pieces)

    monkeypatch.setattr(writing.os, "write", watched)
    monkeypatch.setattr(writing.os, "writev", watched_pieces)
    return seen


def _append(path: Path, size: int, writer: Writer, at: int = 0) -> None:
    file = create(path)
    os.truncate(path, at)
    writer.append(file, [bytes(size)], at)
    os.close(file)


def test_whole_blocks_go_around_the_page_cache_and_are_fetched_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, seen, advice = _dear(), _ways(monkeypatch), []
    monkeypatch.setattr(writing.os, "posix_fadvise", lambda file, *what: advice.append(what))
    _append(tmp_path / "f", 3 * BLOCK + 9, writer, BLOCK - 1)
    if _takes_direct_writes(tmp_path / "probe"):
        assert seen == [(False, 1), (True, 3 * BLOCK), (False, 8)]
        assert advice == [(BLOCK, 3 * BLOCK, os.POSIX_FADV_WILLNEED)]
    else:
        assert sum(size for _, size in seen) == 3 * BLOCK + 9
        assert not advice


def test_where_the_page_cache_is_cheap_all_goes_through_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer, seen = _cheap(), _ways(monkeypatch)
    for n in range(3 * PROBE):
        _append(tmp_path / str(n), 2 * BLOCK, writer)
    assert seen == [(False, 2 * BLOCK)] * 3 * PROBE


def test_it_is_noticed_when_the_page_cache_becomes_cheap_or_dear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not _takes_direct_writes(tmp_path / "probe"):
        pytest.skip("this file system takes no direct writes")
    clock = Clock()
    writer, seen = _dear(clock), _ways(monkeypatch)

    def ways(count: int) -> set[bool]:
        seen.clear()
        for n in range(count):
            path = tmp_path / str(n)
            _append(path, BLOCK, writer)
            path.unlink()
        return {around for around, _ in seen}

    assert ways(PROBE - 1) == {True}
    clock.step = CHEAP
    ways(100 * PROBE)
    assert ways(PROBE) == {False}
    clock.step = 1.0
    ways(1)
    assert ways(PROBE - 1) == {True}
