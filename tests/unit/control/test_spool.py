"""The spool: what was appended comes out again, in order, whatever the disk and the power did in between."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from havre.control.nodelink import spool as module
from havre.control.nodelink.messages import LogStream
from havre.control.nodelink.spool import Spool

STREAM = LogStream("w", "app", "a", "r", "/g", "s")


def append(spool: Spool, *numbers: int) -> None:
    for n in numbers:
        spool.append(STREAM, [(n, b"line %d" % n)])


def everything(spool: Spool, position: int | None = None) -> list[int]:
    """All numbers from the position on (what is acknowledged when None)."""
    found: list[int] = []
    at = spool.acked if position is None else position
    while True:
        at, batches = spool.read(at, 200)
        if not batches:
            return found
        found += [number for batch in batches for number, _ in batch.lines]


def last_file(directory: Path) -> Path:
    return max(directory.glob("*.log"))


@pytest.mark.parametrize("harm", ["torn", "zeros", "zeros and a head"])
def test_what_a_power_loss_leaves_at_the_end_is_cut_off(tmp_path: Path, harm: str) -> None:
    spool = Spool(tmp_path)
    append(spool, 1, 2, 3)
    spool.close()
    path = last_file(tmp_path)
    if harm == "torn":
        os.truncate(path, path.stat().st_size - 3)
    else:
        with path.open("ab") as file:
            file.write(b"\0" * 4096 + (b"\0\0" if "head" in harm else b""))
    spool = Spool(tmp_path)
    append(spool, 4)
    assert everything(spool) == ([1, 2, 4] if harm == "torn" else [1, 2, 3, 4])
    spool.close()
    again = Spool(tmp_path)
    assert everything(again)[-1] == 4
    again.close()


def test_a_record_that_cannot_be_read_is_passed_over_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = Spool(tmp_path)
    append(spool, 1)
    harmed = spool.end
    append(spool, 2, 3)
    with last_file(tmp_path).open("r+b") as file:
        file.seek(harmed + 4)
        file.write(b"\xc1\xc1\xc1")
    with caplog.at_level(logging.ERROR):
        assert everything(spool) == [1, 3]
    assert "cannot be read" in caplog.text
    spool.close()


@pytest.mark.parametrize("written", [0, 2, 9])
def test_a_full_disk_leaves_no_half_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int) -> None:
    spool = Spool(tmp_path)
    append(spool, 1)
    write: Callable[[int, bytes], int] = os.write

    def full(fd: int, data: bytes) -> int:
        if not written:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data[:written])

    with monkeypatch.context() as patched:
        patched.setattr(module.os, "write", full)
        with pytest.raises(OSError, match="space"):
            append(spool, 2)
    append(spool, 3)
    assert everything(spool) == [1, 3]
    spool.close()
    again = Spool(tmp_path)
    assert everything(again) == [1, 3]
    again.close()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), steps=st.lists(st.sampled_from("aaaark"), max_size=60))
def test_every_line_comes_out_in_order_until_it_is_acknowledged(
    tmp_path_factory: pytest.TempPathFactory, seed: int, steps: list[str]
) -> None:
    """a: append, k: acknowledge some, r: the process dies and starts again."""
    directory, chance = tmp_path_factory.mktemp("spool"), Random(seed)
    size, module._SEGMENT = module._SEGMENT, 300
    try:
        spool, waiting, ends, next_ = Spool(directory), list[int](), dict[int, int](), 0
        for step in steps:
            if step == "a":
                append(spool, next_)
                waiting.append(next_)
                ends[next_] = spool.end
                next_ += 1
            elif step == "r":
                spool.close()
                spool = Spool(directory)
            elif waiting:
                known = waiting[: chance.randint(1, len(waiting))]
                spool.acknowledge(ends[known[-1]])
                del waiting[: len(known)]
            assert everything(spool) == waiting
        assert len(list(directory.glob("*.log"))) <= len(waiting) + 2
        spool.close()
    finally:
        module._SEGMENT = size
