"""Metric filters, and embedded metrics: what PutLogEvents makes of what it is given."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.unit.services.logs.logs_harness import DAY, GROUP, Logs, refusal
from tests.unit.services.metrics_fakes import CountedMetrics

BAD = "InvalidParameterException"


class Measuring(Logs):
    def __init__(self) -> None:
        self.metrics = CountedMetrics()
        super().__init__(metrics=self.metrics)

    def want(self, pattern: str, name: str = "a", group: str = GROUP, **told: Any) -> None:
        made = {"metricName": "m", "metricNamespace": "mine", "metricValue": "1", **told}
        self.client.put_metric_filter(
            logGroupName=group, filterName=name, filterPattern=pattern, metricTransformations=[made]
        )

    def described(self, **asked: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.describe_metric_filters(**asked)["metricFilters"]
        return found

    def of(self, name: str = "m", namespace: str = "mine", **dimensions: str) -> dict[float, float]:
        return self.metrics.of(name, namespace, **dimensions)


@pytest.fixture
def logs() -> Iterator[Measuring]:
    found = Measuring()
    found.make()
    yield found
    found.close()


def test_events_that_match_count(logs: Measuring) -> None:
    logs.want("ERROR", unit="Count")
    now = logs.now()
    logs.put((now, "an ERROR"), (now, "fine"), (now, "ERROR again"))
    assert logs.of() == {1.0: 2.0}
    assert logs.metrics.units["m"] == "Count"
    assert logs.metrics.times["m"] == {now // 60_000 * 60.0}


def test_values_and_dimensions_of_events(logs: Measuring) -> None:
    logs.want("{ $.kind = * }", metricValue="$.ms", dimensions={"Kind": "$.kind"})
    now = logs.now()
    logs.put((now, '{"kind":"a","ms":5}'), (now, '{"kind":"b","ms":7}'), (now, '{"kind":"a","ms":6}'), (now, "text"))
    assert logs.of(Kind="a") == {5.0: 1.0, 6.0: 1.0}
    assert logs.of(Kind="b") == {7.0: 1.0}
    assert logs.of() == {}


def test_events_that_do_not_match_count_as_the_default(logs: Measuring) -> None:
    logs.want("ERROR", defaultValue=0)
    logs.put((logs.now(), "fine"), (logs.now(), "ERROR"))
    assert logs.of() == {0.0: 1.0, 1.0: 1.0}


def test_what_comes_in_is_counted(logs: Measuring) -> None:
    logs.put((logs.now(), "abc"), (logs.now(), "é"))
    for where in ({}, {"LogGroupName": GROUP}):
        assert logs.of("IncomingLogEvents", "AWS/Logs", **where) == {2.0: 1.0}
        assert logs.of("IncomingBytes", "AWS/Logs", **where) == {57.0: 1.0}
    assert logs.metrics.units["IncomingBytes"] == "Bytes"


def test_an_old_event_counts_at_its_time(logs: Measuring) -> None:
    logs.want("ERROR")
    at = logs.now() - 3 * DAY
    logs.put((at, "ERROR"))
    assert logs.metrics.times["m"] == {at // 60_000 * 60.0}


def test_a_filter_is_described_as_it_was_put(logs: Measuring) -> None:
    logs.want("{ $.a = 1 }", metricValue="$.b", dimensions={"A": "$.a"}, unit="Bytes")
    logs.want("[a, b]", "b", defaultValue=1.5)
    first, second = logs.described(logGroupName=GROUP)
    assert (first["filterName"], first["filterPattern"], first["logGroupName"]) == ("a", "{ $.a = 1 }", GROUP)
    assert first["metricTransformations"] == [
        {
            "metricName": "m",
            "metricNamespace": "mine",
            "metricValue": "$.b",
            "dimensions": {"A": "$.a"},
            "unit": "Bytes",
        }
    ]
    assert second["metricTransformations"][0]["defaultValue"] == 1.5
    assert abs(first["creationTime"] - logs.now()) < 60_000
    groups = logs.client.describe_log_groups()["logGroups"]
    assert groups[0]["metricFilterCount"] == 2


def test_put_again_it_is_changed(logs: Measuring) -> None:
    logs.want("ERROR")
    logs.want("WARN", metricName="other")
    assert [each["filterPattern"] for each in logs.described()] == ["WARN"]
    logs.put((logs.now(), "ERROR"), (logs.now(), "WARN"))
    assert logs.of() == {} and logs.of("other") == {1.0: 1.0}


def test_lists_are_narrowed_and_paged(logs: Measuring) -> None:
    logs.make("/other")
    for name in ("ab", "aa", "b"):
        logs.want("x", name, metricName=f"m-{name}")
    logs.want("x", "aa", "/other")
    assert [each["filterName"] for each in logs.described(logGroupName=GROUP, filterNamePrefix="a")] == ["aa", "ab"]
    assert [each["logGroupName"] for each in logs.described()] == ["/app", "/other", "/app", "/app"]
    assert [e["filterName"] for e in logs.described(metricName="m-b", metricNamespace="mine")] == ["b"]
    assert refusal(logs.client.describe_metric_filters, metricName="m-b")[0] == BAD
    pages = logs.client.get_paginator("describe_metric_filters").paginate(PaginationConfig={"PageSize": 1})
    assert [each["filterName"] for page in pages for each in page["metricFilters"]] == ["aa", "aa", "ab", "b"]


def test_what_is_refused_changes_nothing(logs: Measuring) -> None:
    def words(pattern: str = "ERROR", **told: Any) -> str:
        made = {"metricName": "m", "metricNamespace": "mine", "metricValue": "1", **told}
        code, said = refusal(
            logs.client.put_metric_filter,
            logGroupName=GROUP,
            filterName="a",
            filterPattern=pattern,
            metricTransformations=[made],
        )
        assert code == BAD
        return said

    assert "mutually exclusive" in words("{ $.a = 1 }", defaultValue=0, dimensions={"A": "$.a"})
    assert "valid number" in words(metricValue="many")
    assert "valid selector" in words("{ $.a = 1 }", dimensions={"A": "a"})
    assert "AWS/" in words(metricNamespace="AWS/Lambda")
    assert "filter pattern" in words("{ $.a")
    assert "dimension name" in words("{ $.a = 1 }", dimensions={":A": "$.a"})
    assert "metricName" in words(metricName="a:b")
    assert logs.described() == []
    gone = {"logGroupName": "/none", "filterName": "a"}
    told = [{"metricName": "m", "metricNamespace": "mine", "metricValue": "1"}]
    put, delete = logs.client.put_metric_filter, logs.client.delete_metric_filter
    assert refusal(put, **gone, filterPattern="", metricTransformations=told)[0] == "ResourceNotFoundException"
    assert refusal(delete, logGroupName=GROUP, filterName="a") == (
        "ResourceNotFoundException",
        "The specified metric filter does not exist.",
    )


def test_a_hundred_of_a_group(logs: Measuring) -> None:
    for number in range(100):
        logs.want("x", f"f{number}")
    asked = {"logGroupName": GROUP, "filterPattern": "x"}
    told = [{"metricName": "m", "metricNamespace": "mine", "metricValue": "1"}]
    put = logs.client.put_metric_filter
    assert refusal(put, **asked, filterName="more", metricTransformations=told)[0] == "LimitExceededException"
    put(**asked, filterName="f7", metricTransformations=told)


def test_they_go_by_themselves_and_with_their_group(logs: Measuring) -> None:
    logs.want("ERROR")
    logs.client.delete_metric_filter(logGroupName=GROUP, filterName="a")
    logs.put((logs.now(), "ERROR"))
    assert logs.of() == {} and logs.described() == []
    logs.want("ERROR")
    logs.client.delete_log_group(logGroupName=GROUP)
    assert logs.described() == []


def test_groups_of_infrequent_access_make_no_metrics(logs: Measuring) -> None:
    logs.client.create_log_group(logGroupName="/rare", logGroupClass="INFREQUENT_ACCESS")
    logs.client.create_log_stream(logGroupName="/rare", logStreamName="one")
    told = [{"metricName": "m", "metricNamespace": "mine", "metricValue": "1"}]
    asked = {"logGroupName": "/rare", "filterName": "a", "filterPattern": ""}
    assert refusal(logs.client.put_metric_filter, **asked, metricTransformations=told)[0] == "InvalidOperationException"
    logs.put((logs.now(), embedded(logs.now())), group="/rare")
    assert logs.of("took", Kind="b") == {}


def embedded(now: int, **more: Any) -> str:
    directive = {"Namespace": "mine", "Dimensions": [["Kind"]], "Metrics": [{"Name": "took", "Unit": "Milliseconds"}]}
    told = {"_aws": {"Timestamp": now, "CloudWatchMetrics": [directive]}, "Kind": "b", "took": [1, 2.5]}
    return json.dumps(told | more)


def test_embedded_metrics(logs: Measuring) -> None:
    now = logs.now()
    logs.put((now, embedded(now)), (now, embedded(now, took=1)), (now, "plain"))
    assert logs.of("took", Kind="b") == {1.0: 2.0, 2.5: 1.0}
    assert logs.metrics.units["took"] == "Milliseconds"
    assert logs.of("EMFValidationErrors", "AWS/Logs") == {}


def test_faults_of_embedded_metrics_are_counted(logs: Measuring) -> None:
    logs.put((logs.now(), embedded(logs.now(), took="long")))
    assert logs.of("took", Kind="b") == {}
    assert logs.of("EMFValidationErrors", "AWS/Logs", LogGroupName=GROUP) == {1.0: 1.0}
    assert logs.of("EMFValidationErrors", "AWS/Logs") == {1.0: 1.0}
