"""Lines on the node's disk: all of them, in order, over any end of the process."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from havre.control.nodelink import spool as module
from havre.control.nodelink.messages import LogStream
from havre.control.nodelink.spool import Spool


def stream(workload: str = "w") -> LogStream:
    return LogStream(workload, "c", "0", "r", "/g", f"s/{workload}")


def lines_of(spool: Spool, position: int = 0, size: int = 1 << 16) -> list[bytes]:
    found = []
    while True:
        end, batches = spool.read(max(position, spool.acked), size)
        if not batches:
            return found
        found += [text for batch in batches for _, text in batch.lines]
        position = end


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("append"), st.integers(1, 5)),
            st.tuples(st.just("again"), st.integers(0, 20)),
            st.tuples(st.just("acknowledge"), st.integers(1, 200)),
        ),
        max_size=30,
    )
)
def test_nothing_is_lost_and_what_is_acknowledged_does_not_come_again(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    """``again`` is a new process after a kill that cut the last record: so many bytes of a record that never ended."""
    folder = tmp_path_factory.mktemp("spool")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_SEGMENT", 200)
        spool, written, acknowledged, n = Spool(folder), [], 0, 0
        for step, amount in steps:
            if step == "append":
                texts = [str(n + i).encode() for i in range(amount)]
                spool.append(stream(), [(1, text) for text in texts])
                written += texts
                n += amount
            elif step == "again":
                spool.close()
                last = sorted(folder.glob("*.log"))[-1]
                with open(last, "ab") as file:
                    file.write(b"\x00\x00\xff\xff"[: min(amount, 4)] + b"x" * max(0, amount - 4))
                spool = Spool(folder)
            else:
                end, batches = spool.read(spool.acked, amount)
                spool.acknowledge(end)
                acknowledged += sum(len(batch.lines) for batch in batches)
        assert lines_of(spool) == written[acknowledged:]
        assert acknowledged + len(lines_of(spool, size=50)) == len(written)
        spool.close()


def test_streams_stay_apart(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for n in range(3):
        for workload in ("a", "b"):
            spool.append(stream(workload), [(n, f"{workload}{n}".encode())])
    _, batches = spool.read(0, 1 << 16)
    assert {b.stream.workload: [t for _, t in b.lines] for b in batches} == {
        "a": [b"a0", b"a1", b"a2"],
        "b": [b"b0", b"b1", b"b2"],
    }
    spool.close()


async def test_writers_wait_when_much_waits(tmp_path: Path) -> None:
    spool = Spool(tmp_path, limit=200)
    assert spool.append(stream(), [(1, b"x")]) is None
    room = spool.append(stream(), [(1, b"x" * 300)])
    assert room is not None
    assert not room.done()
    end, _ = spool.read(0, 1 << 16)
    spool.acknowledge(end)
    await room
    assert spool.append(stream(), [(1, b"y")]) is None
    spool.close()


async def test_drained_says_whether_the_server_has_all(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    assert await spool.drained(spool.end, 0)
    spool.append(stream(), [(1, b"x")])
    assert not await spool.drained(spool.end, 0.01)
    waiting = asyncio.ensure_future(spool.drained(spool.end, 20))
    await asyncio.sleep(0)
    spool.append(stream(), [(1, b"y")])
    spool.acknowledge(spool.read(0, 1)[0])
    assert await waiting
    spool.close()


def test_a_spool_has_a_name_for_life(tmp_path: Path) -> None:
    first = Spool(tmp_path / "a")
    assert Spool(tmp_path / "a").name == first.name
    assert Spool(tmp_path / "b").name != first.name
