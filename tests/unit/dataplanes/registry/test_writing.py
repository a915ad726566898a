"""Files hold what was written, however little the file system takes at a time; pages are given back only where new ones are
dear, and only those of what was pushed before the last mebibytes."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from havre.dataplanes.registry import writing
from havre.dataplanes.registry.upload import create
from havre.dataplanes.registry.writing import BLOCK, IOV_MAX, PROBE, Pushed, Writer, write_all

SIZES = [0, 1, BLOCK, 200_000, (1 << 20) + 1]
CHEAP = 1e-6
Advice = list[tuple[str, int, int]]


class Clock:
    """Of CPU time: ``step`` seconds pass between each two looks."""

    def __init__(self, step: float = 1.0) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@pytest.fixture
def advice(monkeypatch: pytest.MonkeyPatch) -> Advice:
    """(file's name, from, length) of what left the page cache; a little is kept, and a little more known."""
    seen: Advice = []

    def note(file: int, start: int, length: int, what: int) -> None:
        assert what == os.POSIX_FADV_DONTNEED
        seen.append((Path(f"/proc/self/fd/{file}").readlink().name, start, length))

    monkeypatch.setattr(writing.os, "posix_fadvise", note)
    monkeypatch.setattr(writing, "KEPT", 3 * BLOCK)
    monkeypatch.setattr(writing, "KNOWN", 10 * BLOCK)
    return seen


def _written(path: Path, pieces: list[bytes], writer: Writer | None = None) -> bytes:
    file = create(path)
    try:
        (writer or Writer(Clock())).write(file, pieces)
    finally:
        os.close(file)
    return b"".join(pieces)


def _push(pushed: Pushed, directory: Path, name: str, blocks: int) -> None:
    (directory / name).write_bytes(bytes(blocks * BLOCK))
    pushed.add(directory / name, blocks * BLOCK)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("step", [CHEAP, 1.0])
def test_all_of_it_is_there(tmp_path: Path, size: int, step: float) -> None:
    writer, content = Writer(Clock(step)), os.urandom(size)
    for name in ("first", "second"):
        pieces = [content[:5], content[5:70_000], content[70_000:]]
        assert _written(tmp_path / name, pieces, writer) == (tmp_path / name).read_bytes()


def test_more_pieces_than_one_call_takes(tmp_path: Path) -> None:
    pieces = [os.urandom(3) for _ in range(IOV_MAX + 1)]
    assert _written(tmp_path / "f", pieces) == (tmp_path / "f").read_bytes()


@pytest.mark.parametrize("taken", [1, 5, 4103])
def test_a_write_that_takes_less_goes_on(tmp_path: Path, taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write

    def few(file: int, data: memoryview) -> int:
        return write(file, data[:taken])

    def first_of_them(file: int, pieces: Sequence[bytes]) -> int:
        return write(file, b"".join(pieces)[:taken])

    monkeypatch.setattr(writing.os, "write", few)
    monkeypatch.setattr(writing.os, "writev", first_of_them)
    content = os.urandom(9000)
    file = create(tmp_path / "f")
    write_all(file, [content[:3], content[3:5000], content[5000:]])
    os.close(file)
    assert (tmp_path / "f").read_bytes() == content


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_refuses_is_heard(tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: int, data: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(writing.os, "writev", refuse)
    with pytest.raises(OSError, match=os.strerror(code)):
        _written(tmp_path / "f", [bytes(BLOCK)])


def test_the_oldest_is_given_back_and_the_last_stays(tmp_path: Path, advice: Advice) -> None:
    pushed = Pushed()
    for name in "abc":
        _push(pushed, tmp_path, name, 2)
    assert pushed.give_back(BLOCK)
    assert pushed.give_back(2 * BLOCK)
    assert not pushed.give_back(BLOCK)
    assert advice == [("a", 0, BLOCK), ("a", BLOCK, BLOCK), ("b", 0, BLOCK)]
    _push(pushed, tmp_path, "d", 1)
    assert pushed.give_back(BLOCK)
    assert advice[3:] == [("b", BLOCK, BLOCK)]


def test_what_was_pushed_long_ago_is_left_to_the_kernel(tmp_path: Path, advice: Advice) -> None:
    pushed = Pushed()
    for n in range(30):
        _push(pushed, tmp_path, f"{n:02}", 1)
    assert pushed.give_back(7 * BLOCK)
    assert not pushed.give_back(BLOCK)
    assert [name for name, _, _ in advice] == [f"{n:02}" for n in range(20, 27)]


def test_a_file_that_is_gone_gives_nothing_and_hurts_nobody(tmp_path: Path, advice: Advice) -> None:
    pushed = Pushed()
    for name in "abcdef":
        _push(pushed, tmp_path, name, 1)
    (tmp_path / "a").unlink()
    assert pushed.give_back(2 * BLOCK)
    assert advice == [("b", 0, BLOCK)]


def test_a_file_system_that_takes_no_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, advice: Advice) -> None:
    def refuse(file: int, start: int, length: int, what: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(writing.os, "posix_fadvise", refuse)
    writer = Writer(Clock())
    _push(writer.pushed, tmp_path, "a", 5)
    for name in "bc":
        assert _written(tmp_path / name, [bytes(BLOCK)], writer) == (tmp_path / name).read_bytes()


def test_where_new_pages_are_cheap_nothing_is_given_back(tmp_path: Path, advice: Advice) -> None:
    writer = Writer(Clock(CHEAP))
    for n in range(3 * PROBE):
        _written(tmp_path / str(n), [bytes(2 * BLOCK)], writer)
        writer.pushed.add(tmp_path / str(n), 2 * BLOCK)
    assert advice == []


def test_it_is_noticed_when_new_pages_become_cheap_or_dear(tmp_path: Path, advice: Advice) -> None:
    clock = Clock()
    writer = Writer(clock)

    def given_back(count: int) -> int:
        before = len(advice)
        for _ in range(count):
            path = tmp_path / os.urandom(8).hex()
            _written(path, [bytes(BLOCK)], writer)
            writer.pushed.add(path, BLOCK)
        return len(advice) - before

    assert given_back(5) == 1  # first something has to be there
    assert given_back(PROBE - 3) == PROBE - 4  # one of them asks what new pages cost
    clock.step = CHEAP
    given_back(100 * PROBE)
    assert given_back(PROBE) == 0
    clock.step = 1.0
    given_back(1)
    assert given_back(PROBE - 2) >= PROBE - 3


def test_content_that_left_the_page_cache_is_read_from_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "KEPT", 0)
    pushed, content = Pushed(), os.urandom(1_000_000)
    path = tmp_path / "f"
    file = create(path)
    write_all(file, [content])
    os.fdatasync(file)
    os.close(file)
    pushed.add(path, len(content))
    assert pushed.give_back(300_000)
    assert pushed.give_back(700_000)
    assert path.read_bytes() == content
