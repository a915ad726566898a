"""The embedded metric format: what documents say counts, and what is none is none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.core.log_metrics import MARK, Measured, extract

NOW = 1_700_000_000_000
DAY = 86_400_000


def document(metrics: Any = ({"Name": "time", "Unit": "Milliseconds"},), **more: Any) -> dict[str, Any]:
    directive = {"Namespace": "mine", "Dimensions": [["version"]], "Metrics": list(metrics)}
    directive |= {name: more.pop(name) for name in ("Namespace", "Dimensions", "Metrics") if name in more}
    told = {"Timestamp": more.pop("Timestamp", NOW - 5000), "CloudWatchMetrics": [directive]}
    return {"_aws": told, "version": "$LATEST", "time": 100, **more}


def found(told: Any, at: int = NOW) -> tuple[tuple[Measured, ...], tuple[str, ...]]:
    text = told if isinstance(told, str) else json.dumps(told)
    extracted = extract(text, at, NOW)
    assert extracted is not None
    return extracted.metrics, extracted.faults


def test_the_documents_of_the_specification() -> None:
    told = Measured("mine", "time", (("version", "$LATEST"),), "Milliseconds", NOW - 5000, {100.0: 1.0})
    assert found(document()) == ((told,), ())
    assert MARK in json.dumps(document()).encode()
    assert found(document(time=[1, 2, 2])) == ((told._replace(values={1.0: 1.0, 2.0: 2.0}),), ())
    assert found(document([{"Name": "time", "StorageResolution": 1}])) == ((told._replace(unit="None", step=1),), ())


def test_each_set_of_dimensions_is_a_metric() -> None:
    metrics, faults = found(document(Dimensions=[[], ["version"], ["version", "b"]], b="x"))
    assert [each.dimensions for each in metrics] == [
        (),
        (("version", "$LATEST"),),
        (("b", "x"), ("version", "$LATEST")),
    ]
    assert faults == ()


def test_several_directives() -> None:
    told = document(size=3)
    other = {"Namespace": "other", "Dimensions": [[]], "Metrics": [{"Name": "size"}]}
    told["_aws"]["CloudWatchMetrics"].append(other)
    metrics, _ = found(told)
    assert [(each.namespace, each.name) for each in metrics] == [("mine", "time"), ("other", "size")]


def test_lines_of_functions_may_have_their_metadata_before() -> None:
    line = f"2026-01-01T00:00:00.000Z\t6f4b\tINFO\t{json.dumps(document())}\n"
    assert len(found(line)[0]) == 1
    assert extract(f"say {json.dumps(document())}", NOW, NOW) is None


@pytest.mark.parametrize(
    "text", ["", "plain", "{", "[]", "{}", '{"_aws": 1}', '{"_aws": {"CloudWatchMetrics": {}}}', "\t{", "[" * 10_000]
)
def test_what_is_no_document(text: str) -> None:
    assert extract(text, NOW, NOW) is None


def test_the_events_time_stands_for_one_that_is_missing() -> None:
    told = document()
    del told["_aws"]["Timestamp"]
    assert found(told, NOW - 1)[0][0].at == NOW - 1


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (document(Timestamp=NOW - 15 * DAY), "Timestamp"),
        (document(Timestamp=NOW + 3 * 3_600_000), "Timestamp"),
        (document(Timestamp="now"), "Timestamp"),
        (document(Namespace=""), "Namespace"),
        (document(Namespace="AWS/Lambda"), "reserved"),
        (document(Dimensions=[]), "Dimensions"),
        (document(Dimensions="version"), "Dimensions"),
        (document(Dimensions=["version"]), "array"),
        (document(Dimensions=[["nothing"]]), "dimension nothing"),
        (document(version=1), "dimension version"),
        (document(version="x" * 1025), "dimension version"),
        (document(Dimensions=[["version"] * 31]), "at most 30"),
        (document([{"Name": "time"}] * 101), "at most 100"),
        (document([7]), "no object"),
        (document([{"Name": "nothing"}]), "metric nothing"),
        (document(time="1"), "metric time"),
        (document(time=True), "metric time"),
        (document(time=[]), "metric time"),
        (document(time=[1] * 101), "metric time"),
        (document(time=10**400), "metric time"),
        (document([{"Name": "time", "Unit": "Parsecs"}]), "unit"),
        (document([{"Name": "time", "Unit": ["Count"]}]), "unit"),
        (document([{"Name": "time", "StorageResolution": 10}]), "StorageResolution"),
    ],
)
def test_what_is_wrong_is_told_and_does_not_count(told: dict[str, Any], words: str) -> None:
    metrics, faults = found(told)
    assert metrics == () and len(faults) == 1 and words in faults[0]


def test_the_rest_of_a_document_counts() -> None:
    metrics, faults = found(document([{"Name": "time"}, {"Name": "gone"}], Dimensions=[["version"], ["gone"]]))
    assert [each.name for each in metrics] == ["time"] and len(faults) == 2


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(("Name", "Unit", "Namespace", "Dimensions", "Metrics", "a")), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(VALUES, VALUES, VALUES)
def test_nothing_makes_it_fail(directive: Any, time: Any, value: Any) -> None:
    told = {"_aws": {"Timestamp": time, "CloudWatchMetrics": [directive]}, "a": value}
    extracted = extract(json.dumps(told), NOW, NOW)
    assert extracted is not None
    for each in extracted.metrics:
        assert each.values and each.step in (1, 60) and each.at >= NOW - 14 * DAY
