"""The log of the borrowed services: what was synced is read again, what a crash cut off is not."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from havre.engines.moto.segments import Full, Segments

RECORDS = st.lists(st.tuples(st.binary(min_size=1, max_size=40), st.binary(max_size=200)), min_size=1, max_size=8)


def opened(folder: Path) -> Segments:
    segments = Segments(folder)
    segments.begin()
    return segments


@settings(max_examples=60, deadline=None)
@given(RECORDS, st.data())
def test_a_torn_end_costs_only_what_was_torn(records: list[tuple[bytes, bytes]], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        segments = opened(folder)
        refs = [segments.append([record])[0] for record in records]
        ends = [ref.offset + ref.length for ref in refs]
        segments.close()
        path = folder / "0000000001.log"
        cut = data.draw(st.integers(0, ends[-1]))
        os.truncate(path, cut)
        again = Segments(folder)
        found = [(head, body) for head, body, _ in again.records(1)]
        assert found == [record for record, end in zip(records, ends, strict=True) if end <= cut]
        again.close()


@settings(max_examples=60, deadline=None)
@given(RECORDS, st.data())
def test_a_flipped_bit_ends_the_log_there(records: list[tuple[bytes, bytes]], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        segments = opened(folder)
        refs = segments.append(records)
        segments.close()
        path = folder / "0000000001.log"
        content = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(content)
        whole = sum(1 for ref in refs if ref.offset + ref.length <= at)
        again = Segments(folder)
        found = [(head, body) for head, body, _ in again.records(1)]
        assert found == records[:whole]
        again.close()


def test_bodies_are_read_where_they_lie(tmp_path: Path) -> None:
    segments = opened(tmp_path)
    first, second = segments.append([(b"h", b"0123456789"), (b"", b"x" * 100_000)])
    assert segments.read(first) == b"0123456789"
    assert segments.read(first, 3, 4) == b"3456" and segments.read(first, 8, 99) == b"89"
    assert segments.read(second) == b"x" * 100_000
    segments.begin()
    assert segments.append([(b"h", b"next")])[0].segment == 2
    assert segments.read(first) == b"0123456789"
    segments.drop(1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0000000002.log"]
    segments.close()


def test_a_full_disk_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segments = opened(tmp_path)
    segments.append([(b"h", b"kept")])
    size = segments.size
    real = os.pwritev

    def half(file: int, pieces: list[bytes], at: int) -> int:
        if at > size:
            raise OSError(28, "No space left on device")
        return real(file, [pieces[0][:5]], at)

    monkeypatch.setattr(os, "pwritev", half)
    with pytest.raises(Full, match="No space left"):
        segments.append([(b"head", b"body")])
    monkeypatch.undo()
    assert segments.size == size == (tmp_path / "0000000001.log").stat().st_size
    segments.append([(b"h", b"after")])
    assert [body for _, body, _ in segments.records(1)] == [b"kept", b"after"]
    segments.close()


def test_files_are_for_the_owner_alone(tmp_path: Path) -> None:
    segments = opened(tmp_path / "borrowed")
    assert (tmp_path / "borrowed").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "borrowed" / "0000000001.log").stat().st_mode & 0o777 == 0o600
    segments.close()
