"""FilterLogEvents: several streams as one, patterns, pages; and TestMetricFilter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.running_gateway import code
from tests.unit.services.logs.logs_harness import GROUP, Logs

from havre.kernel.resource import Meta, NoStatus, Resource
from havre.services.logs.resources import LogStream
from havre.services.logs.search import Cursor, Merged, Spot, Window
from havre.store.memory import MemoryJournal


@pytest.fixture
def three(logs: Logs) -> tuple[Logs, int]:
    """Thirty events in turn over three streams, a second apart."""
    logs.make(GROUP, "a", "b", "c")
    begin = logs.now() - 30_000
    for offset, stream in enumerate("abc"):
        logs.put(*((begin + n * 1000, f"{stream}{n}") for n in range(offset, 30, 3)), stream=stream)
    return logs, begin


ALL = [f"{'abc'[n % 3]}{n}" for n in range(30)]


def test_streams_are_interleaved(three: tuple[Logs, int]) -> None:
    logs, begin = three
    page = logs.client.filter_log_events(logGroupName=GROUP)
    assert [e["message"] for e in page["events"]] == ALL
    assert page["searchedLogStreams"] == [] and "nextToken" not in page
    first = page["events"][0]
    assert (first["logStreamName"], first["timestamp"]) == ("a", begin)
    ids = [e["eventId"] for e in page["events"]]
    assert len(set(ids)) == 30 and ids == sorted(ids) and {len(i) for i in ids} == {56}


@pytest.mark.parametrize("limit", [1, 7, 30])
def test_every_event_is_on_one_page(three: tuple[Logs, int], limit: int) -> None:
    logs, begin = three
    config = {"PageSize": limit}
    assert logs.filter(PaginationConfig=config) == ALL
    backwards = logs.filter(PaginationConfig=config, startFromHead=False, startTime=begin)
    assert backwards == ALL[::-1]


def test_windows_streams_and_prefixes(three: tuple[Logs, int]) -> None:
    logs, begin = three
    assert logs.filter(startTime=begin + 3000, endTime=begin + 5000) == ["a3", "b4", "c5"]
    assert logs.filter(logStreamNames=["c", "a"]) == [m for m in ALL if m[0] in "ac"]
    assert logs.filter(logStreamNamePrefix="b") == [m for m in ALL if m[0] == "b"]
    assert logs.filter(startTime=begin + 60_000) == []
    client = logs.client
    both = code(client.filter_log_events, logGroupName=GROUP, logStreamNames=["a"], logStreamNamePrefix="a")
    assert both == "InvalidParameterException"
    missing = code(client.filter_log_events, logGroupName=GROUP, logStreamNames=["x"])
    assert missing == "ResourceNotFoundException"
    assert code(client.filter_log_events, logGroupName="/none") == "ResourceNotFoundException"
    early = code(client.filter_log_events, logGroupName=GROUP, startFromHead=False, startTime=1)
    assert early == "InvalidParameterException"


def test_patterns(three: tuple[Logs, int]) -> None:
    logs, _ = three
    assert logs.filter(filterPattern="?a1 ?b2") == [m for m in ALL if "a1" in m or "b2" in m]
    assert logs.filter(filterPattern="%^c%") == [m for m in ALL if m[0] == "c"]
    assert logs.filter(filterPattern="nowhere") == []
    broken = code(logs.client.filter_log_events, logGroupName=GROUP, filterPattern="{ $.a")
    assert broken == "InvalidParameterException"
    logs.put((logs.now(), '{"level": "error", "code": 500}'), stream="a")
    assert logs.filter(filterPattern='{ $.level = "err*" && $.code >= 500 }') == ['{"level": "error", "code": 500}']


def test_tokens_are_of_their_question(three: tuple[Logs, int]) -> None:
    logs, begin = three
    client = logs.client
    token = client.filter_log_events(logGroupName=GROUP, limit=10)["nextToken"]
    asked = {"logGroupName": GROUP, "nextToken": token}
    assert code(client.filter_log_events, **asked, filterPattern="a") == "InvalidParameterException"
    assert code(client.filter_log_events, logGroupName=GROUP, nextToken=f"{token}x") == "InvalidParameterException"
    rest = client.filter_log_events(**asked, startTime=begin, startFromHead=False)["events"]
    assert [e["message"] for e in rest] == ALL[10:]


def test_a_page_ends_when_much_was_looked_through(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("havre.services.logs.operations.filter_events.SCANNED_EVENTS", 5_000)
    logs.make()
    for n in range(4):
        logs.put(*((logs.now(), f"{n} hay") for _ in range(3_000)))
    logs.put((logs.now(), "needle"))
    first = logs.client.filter_log_events(logGroupName=GROUP, filterPattern="needle")
    assert first["events"] == [] and first["nextToken"]
    assert logs.filter(filterPattern="needle") == ["needle"]


def test_patterns_are_tried_out(logs: Logs) -> None:
    answer = logs.client.test_metric_filter(
        filterPattern="[ip, ..., size > 10]", logEventMessages=["1.1.1.1 a 20", "2.2.2.2 5", "3.3.3.3 b c 11"]
    )
    assert answer["matches"] == [
        {"eventNumber": 1, "eventMessage": "1.1.1.1 a 20", "extractedValues": {"$ip": "1.1.1.1", "$size": "20"}},
        {"eventNumber": 3, "eventMessage": "3.3.3.3 b c 11", "extractedValues": {"$ip": "3.3.3.3", "$size": "11"}},
    ]
    wrong = code(logs.client.test_metric_filter, filterPattern="[a", logEventMessages=["x"])
    assert wrong == "InvalidParameterException"


def stream(name: str) -> Any:
    return Resource("logs.stream", Meta("", "1", "r", f"g:{name}"), LogStream("g", name, f"j/{name}"), NoStatus())


TIMES = st.lists(st.integers(0, 20), min_size=1, max_size=60)


@pytest.fixture(scope="module")
def small_reads() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("havre.services.logs.search.AT_ONCE", 7)
        patch.setattr("havre.services.logs.search.LEAST", 3)
        yield


async def merged(journal: MemoryJournal, names: Iterable[str], reverse: bool, after: Spot | None) -> list[Spot]:
    extents = await journal.extents("j/")
    window = Window(0, None, reverse)
    cursors = [Cursor(stream(name), extents[f"j/{name}"], window, after) for name in names]
    whole = Merged(journal, cursors, reverse)
    found: list[Spot] = []
    while some := await whole.take():
        found += [spot for spot, _, _ in some]
    return found


@pytest.mark.usefixtures("small_reads")
@settings(max_examples=200, deadline=None)
@given(streams=st.dictionaries(st.sampled_from("abcd"), TIMES), reverse=st.booleans(), cut=st.integers(0, 40))
async def test_merged_streams_are_one_sorted_list(streams: dict[str, list[int]], reverse: bool, cut: int) -> None:
    """Wherever it is cut, what comes behind a place is the rest of the list."""
    journal = MemoryJournal()
    for name, times in streams.items():
        await journal.append(f"j/{name}", [(at, b"") for at in times])
    expected = sorted(
        (Spot(at, name, n) for name, times in streams.items() for n, at in enumerate(sorted(times), 1)), reverse=reverse
    )
    assert await merged(journal, streams, reverse, None) == expected
    if expected:
        at = cut % len(expected)
        assert await merged(journal, streams, reverse, expected[at]) == expected[at + 1 :]


async def test_streams_are_not_read_before_their_time() -> None:
    journal = Reads()
    names = [f"{n:03}" for n in range(50)]
    for n, name in enumerate(names):
        await journal.append(f"j/{name}", [(n * 100 + k, b"") for k in range(10)])
    cursors = [Cursor(stream(n), (await journal.extents("j/"))[f"j/{n}"], Window(0, None), None) for n in names]
    whole = Merged(journal, cursors, False)
    found = 0
    while found < 25:
        found += len(await whole.take())
    assert journal.read <= {"j/000", "j/001", "j/002", "j/003"}


class Reads(MemoryJournal):
    """Remembers which streams were read."""

    def __init__(self) -> None:
        super().__init__()
        self.read: set[str] = set()

    async def scan(self, stream: str, *part: Any, **bounds: Any) -> Any:
        self.read.add(stream)
        return await super().scan(stream, *part, **bounds)
