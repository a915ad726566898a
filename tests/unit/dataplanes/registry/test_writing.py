"""Files hold what was written, however little the file system takes at a time."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from havre.dataplanes.registry import writing
from havre.dataplanes.registry.upload import create
from havre.dataplanes.registry.writing import STEP, write_all

SIZES = [0, 1, STEP - 1, STEP, STEP + 1, 200_000, (1 << 20) + 1]


def _written(path: Path, pieces: list[bytes], step: int | None = STEP) -> bytes:
    file = create(path)
    write_all(file, pieces, step)
    os.close(file)
    return b"".join(pieces)


@pytest.mark.parametrize("step", [STEP, None])
@pytest.mark.parametrize("size", SIZES)
def test_all_of_it_is_there(tmp_path: Path, size: int, step: int | None) -> None:
    content = os.urandom(size)
    pieces = [content[:5], content[5:70_000], content[70_000:]]
    assert _written(tmp_path / "f", pieces, step) == (tmp_path / "f").read_bytes()


@pytest.mark.parametrize(
    ("step", "expected"), [(STEP, [STEP, STEP, STEP, 1, 3]), (None, [3 * STEP + 1, 3])], ids=["short", "long"]
)
def test_how_long_writes_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int | None, expected: list[int]
) -> None:
    write, sizes = os.write, []

    def note(file: int, data: memoryview) -> int:
        sizes.append(len(data))
        return write(file, data)

    monkeypatch.setattr(writing.os, "write", note)
    assert _written(tmp_path / "f", [os.urandom(3 * STEP + 1), b"end"], step) == (tmp_path / "f").read_bytes()
    assert sizes == expected


@pytest.mark.parametrize("taken", [1, 5, 4103])
def test_a_write_that_takes_less_goes_on(tmp_path: Path, taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write

    def few(file: int, data: memoryview) -> int:
        return write(file, data[:taken])

    monkeypatch.setattr(writing.os, "write", few)
    content = os.urandom(9000)
    assert _written(tmp_path / "f", [content[:3], content[3:5000], content[5000:]]) == (tmp_path / "f").read_bytes()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_refuses_is_heard(tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: int, data: bytes) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(writing.os, "write", refuse)
    with pytest.raises(OSError, match=os.strerror(code)):
        _written(tmp_path / "f", [bytes(4096)])
