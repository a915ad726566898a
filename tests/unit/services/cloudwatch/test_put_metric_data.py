"""PutMetricData and ListMetrics: what is taken, what is refused and how, what is listed."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.config import Config
from tests.running_gateway import ROOT
from tests.unit.services.cloudwatch.cloudwatch_harness import (
    ACCOUNT,
    METRIC,
    NAMESPACE,
    CloudWatch,
    refusal,
    stat_query,
)

from havre.store.points import Point, Sample, Series

ALL = ("SampleCount", "Sum", "Minimum", "Maximum", "Average")
DAY = 86_400


def told(point: dict[str, Any]) -> tuple[float, ...]:
    return tuple(point[name] for name in ALL)


def test_values_of_one_minute_are_summed_up(watch: CloudWatch) -> None:
    watch.put(1.0, 2.0, 6.0)
    watch.put(3.0)
    watch.put(7.0, ago=1)
    found = sorted(watch.statistics(*ALL), key=lambda point: point["Timestamp"])
    assert [told(point) for point in found] == [(1, 7, 7, 7, 7), (4, 12, 1, 6, 3)]
    assert [point["Unit"] for point in found] == ["None", "None"]
    assert [point["Timestamp"].timestamp() for point in found] == [watch.minute(1), watch.minute()]


def test_values_and_counts_and_statistics(watch: CloudWatch) -> None:
    at = watch.minute()
    watch.put_data(Timestamp=at, Values=[1.0, 10.0], Counts=[4, 0.5], Unit="Count")
    watch.put_data(Timestamp=at, Values=[2.0], Unit="Count")
    watch.put_data(Timestamp=at, StatisticValues={"SampleCount": 2, "Sum": 9, "Minimum": 1, "Maximum": 8}, Unit="Count")
    (point,) = watch.statistics(*ALL, "p50", Unit="Count")
    assert told(point) == (7.5, 20, 1, 10, 20 / 7.5)
    assert "ExtendedStatistics" not in point, "values of a statistic set are not known"
    watch.put_data(
        Timestamp=watch.minute(1),
        StatisticValues={"SampleCount": 3, "Sum": 6, "Minimum": 2, "Maximum": 2},
        Unit="Count",
    )
    point, _ = sorted(watch.statistics("p50", Unit="Count"), key=lambda point: point["Timestamp"])
    assert point["ExtendedStatistics"] == {"p50": 2.0}


def test_seconds_are_kept_where_it_is_asked_for(watch: CloudWatch) -> None:
    at = watch.minute(1)
    for second in (0, 1, 11):
        watch.put_data(Timestamp=at + second, Value=1.0, StorageResolution=1)
    span = {"StartTime": at, "EndTime": at + 60}
    assert len(watch.statistics("Sum", period=1, **span)) == 3
    assert [p["Sum"] for p in watch.statistics("Sum", period=10, **span)] == [2, 1]
    assert [p["Sum"] for p in watch.statistics("Sum", **span)] == [3]


@pytest.mark.parametrize(
    ("datum", "code", "said"),
    [
        ({}, "MissingParameter", "At least one of the parameters must be specified: MetricData.member.1.Value"),
        ({"Value": float("nan")}, "InvalidParameterValue", "The value NaN for parameter MetricData.member.1.Value"),
        ({"Value": 1e200}, "InvalidParameterValue", "MetricData.member.1.Value is invalid."),
        ({"Value": 1, "Values": [1]}, "InvalidParameterCombination", "mutually exclusive"),
        ({"Values": [1, 2], "Counts": [1]}, "InvalidParameterValue", "must be of the same size"),
        ({"Values": [1], "Counts": [0]}, "InvalidParameterValue", "MetricData.member.1.Counts.member.1 is invalid."),
        ({"Value": 1, "Counts": [1]}, "InvalidParameterCombination", "Counts"),
        ({"Values": []}, "InvalidParameterValue", "must not be empty"),
        ({"Values": [float(n) for n in range(151)]}, "ValidationError", "must not have a size greater than 150."),
        ({"Value": 1, "StorageResolution": 30}, "InvalidParameterValue", "StorageResolution"),
        ({"Value": 1, "Unit": "Parsec"}, "ValidationError", "Member must satisfy enum value set"),
        ({"Value": 1, "Timestamp": -15 * DAY}, "InvalidParameterValue", "no more than two weeks in the past"),
        ({"Value": 1, "Timestamp": 3 * 3600}, "InvalidParameterValue", "no more than two hours in the future"),
        ({"Value": 1, "MetricName": ""}, "ValidationError", "metricName"),
        (
            {"StatisticValues": {"SampleCount": 1, "Sum": 1, "Minimum": 2, "Maximum": 1}},
            "InvalidParameterCombination",
            "Maximum must be greater",
        ),
        (
            {"StatisticValues": {"SampleCount": 0, "Sum": 1, "Minimum": 1, "Maximum": 1}},
            "InvalidParameterValue",
            "SampleCount",
        ),
        ({"Value": 1, "Dimensions": [{"Name": f"n{n}", "Value": "v"} for n in range(31)]}, "ValidationError", "30"),
        ({"Value": 1, "Dimensions": [{"Name": ":n", "Value": "v"}]}, "InvalidParameterValue", ":n"),
    ],
)
def test_bad_data_is_refused_and_none_of_it_kept(watch: CloudWatch, datum: Any, code: str, said: str) -> None:
    if "Timestamp" in datum:
        datum = {**datum, "Timestamp": watch.now() + datum["Timestamp"]}
    given = [{"MetricName": METRIC, **datum}, {"MetricName": "Other", "Value": 1.0}]
    found = refusal(watch.client.put_metric_data, Namespace=NAMESPACE, MetricData=given)
    assert found[0] == code, found
    assert said.lower() in found[1].lower()
    assert watch.client.list_metrics()["Metrics"] == []


def test_bad_requests_are_refused(watch: CloudWatch) -> None:
    put = watch.client.put_metric_data
    one = [{"MetricName": "m", "Value": 1.0}]
    assert refusal(put, Namespace="AWS/Lambda", MetricData=one)[0] == "InvalidParameterValue"
    assert refusal(put, Namespace="n", MetricData=one * 1001)[0] == "ValidationError"
    assert refusal(put, Namespace="n", MetricData=[])[0] == "MissingParameter"
    assert refusal(put, Namespace=":n", MetricData=one)[0] == "ValidationError"
    entities = [{"Entity": {}, "MetricData": one}]
    code, message = refusal(put, Namespace="n", EntityMetricData=entities)
    assert (code, "EntityMetricData" in message) == ("NotImplementedException", True)


def test_metrics_are_listed_by_what_they_are_called(watch: CloudWatch) -> None:
    pairs = [[{"Name": "Host", "Value": host}, {"Name": "Zone", "Value": "z"}] for host in "ab"]
    for pair in pairs:
        watch.put(1.0, Dimensions=pair, Unit="Count")
        watch.put(1.0, Dimensions=pair[::-1], Unit="Seconds")
    watch.put(1.0, metric="Other", ago=300)
    listing = watch.client.list_metrics
    assert listing()["Metrics"] == [
        {"Namespace": NAMESPACE, "MetricName": METRIC, "Dimensions": pair} for pair in pairs
    ] + [{"Namespace": NAMESPACE, "MetricName": "Other", "Dimensions": []}]
    assert len(listing(Dimensions=[{"Name": "Host"}])["Metrics"]) == 2
    assert len(listing(Dimensions=[{"Name": "Host", "Value": "b"}])["Metrics"]) == 1
    assert listing(Dimensions=[{"Name": "Host", "Value": "c"}])["Metrics"] == []
    assert len(listing(RecentlyActive="PT3H")["Metrics"]) == 2
    assert len(listing(Namespace=NAMESPACE, MetricName="Other")["Metrics"]) == 1
    assert listing(Namespace="None")["Metrics"] == []


def test_metrics_are_listed_for_two_weeks(watch: CloudWatch) -> None:
    for days in (13, 15):
        at = watch.minute() - days * DAY
        series = Series(ACCOUNT, "us-east-1", NAMESPACE, f"m{days}", (), "None")
        watch.running.wait(watch.points.write([Sample(series, 60, Point(at, 1.0, 1.0, 1.0, 1.0))]))
    assert [metric["MetricName"] for metric in watch.client.list_metrics()["Metrics"]] == ["m13"]


def test_long_lists_come_in_pages(watch: CloudWatch) -> None:
    data = [{"MetricName": f"m{n:04}", "Value": 1.0} for n in range(700)]
    watch.client.put_metric_data(Namespace=NAMESPACE, MetricData=data)
    pages = list(watch.client.get_paginator("list_metrics").paginate())
    assert [len(page["Metrics"]) for page in pages] == [500, 200]
    assert [m["MetricName"] for page in pages for m in page["Metrics"]] == [datum["MetricName"] for datum in data]
    assert refusal(watch.client.list_metrics, NextToken="nonsense")[0] == "InvalidParameterValue"


def test_what_is_not_there_is_refused_by_name(watch: CloudWatch) -> None:
    for call, more in (
        (watch.client.list_metrics, {"IncludeLinkedAccounts": True}),
        (watch.client.list_metrics, {"OwningAccount": "999999999999"}),
        (watch.client.delete_metric_stream, {"Name": "s"}),
    ):
        assert refusal(call, **more)[0] == "NotImplementedException"
    assert watch.client.list_metric_streams()["Entries"] == []
    assert watch.client.describe_anomaly_detectors()["AnomalyDetectors"] == []


@pytest.mark.parametrize("compressed", [False, True])
def test_large_requests_come_compressed(watch: CloudWatch, compressed: bool) -> None:
    config = Config(disable_request_compression=not compressed, retries={"max_attempts": 0})
    client = boto3.session.Session().client(
        "cloudwatch",
        region_name="us-east-1",
        endpoint_url=watch.running.url,
        aws_access_key_id=ROOT.access_key,
        aws_secret_access_key=ROOT.secret,
        config=config,
    )
    data = [{"MetricName": METRIC, "Value": float(n), "Timestamp": watch.minute()} for n in range(1000)]
    client.put_metric_data(Namespace=NAMESPACE, MetricData=data)
    assert [p["SampleCount"] for p in watch.statistics("SampleCount")] == [1000]


def test_permission_may_hang_on_the_namespace(watch: CloudWatch) -> None:
    iam = watch.running.client("iam")
    iam.create_user(UserName="u")
    allowed = {"Effect": "Allow", "Action": "cloudwatch:PutMetricData", "Resource": "*"}
    condition = {"StringEquals": {"cloudwatch:namespace": "Mine"}}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{**allowed, "Condition": condition}]})
    iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=policy)
    user = watch.running.client("cloudwatch", iam.create_access_key(UserName="u")["AccessKey"])
    data = [{"MetricName": "m", "Value": 1.0}]
    user.put_metric_data(Namespace="Mine", MetricData=data)
    assert refusal(user.put_metric_data, Namespace="Other", MetricData=data)[0] in (
        "AccessDenied",
        "AccessDeniedException",
    )
    assert refusal(user.list_metrics)[0] in ("AccessDenied", "AccessDeniedException")


def test_the_trail_has_no_data_points(watch: CloudWatch) -> None:
    watch.put(1.0)
    span = {"StartTime": watch.minute(5), "EndTime": watch.minute()}
    watch.client.get_metric_data(MetricDataQueries=[stat_query("m")], **span)
    watch.client.list_metrics()
    assert watch.running.events("PutMetricData") == watch.running.events("GetMetricData") == []
    (event,) = watch.running.events("ListMetrics")
    assert event["eventSource"] == "monitoring.amazonaws.com"
