"""Lines become batches that PutLogEvents takes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from havre.core.log_batches import BATCH_BYTES, BATCH_EVENTS, BATCH_SPAN, EVENT_OVERHEAD, batches

SIZES = st.sampled_from([0, 1, 10, 1000, 200_000])


@given(
    lines=st.lists(
        st.tuples(st.integers(0, 3 * BATCH_SPAN), st.sampled_from([b"x", b"\xff", "é".encode()]), SIZES), max_size=40
    )
)
def test_every_line_is_in_one_batch(lines: list[tuple[int, bytes, int]]) -> None:
    given_lines = [(at, piece * size) for at, piece, size in lines]
    made = list(batches(given_lines))
    for batch in made:
        times = [e["timestamp"] for e in batch]
        assert times == sorted(times) and times[-1] - times[0] <= BATCH_SPAN and len(batch) <= BATCH_EVENTS
        assert sum(len(e["message"].encode()) + EVENT_OVERHEAD for e in batch) <= BATCH_BYTES
    expected = sorted((at, text.decode(errors="replace")) for at, text in given_lines if text)
    assert sorted((e["timestamp"], e["message"]) for batch in made for e in batch) == expected


def test_many_lines_are_many_batches() -> None:
    assert [len(batch) for batch in batches([(1, b"x")] * 25_000)] == [10_000, 10_000, 5_000]
    assert [e["message"] for batch in batches([(2, b"b"), (1, b"a"), (2, b"c")]) for e in batch] == ["a", "b", "c"]
