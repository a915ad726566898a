"""What services tell of themselves in CloudWatch, for real."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from .conftest import Instance, eventually, kill
from .lambda_world import World, need_runtime

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.timeout(600)]
CODE = """
import json, time

def handler(event, context):
    if isinstance(event, dict) and event.get("fail"):
        raise RuntimeError("as asked")
    metrics = [{"Namespace": "shop", "Dimensions": [["kind"]], "Metrics": [{"Name": "orders", "Unit": "Count"}]}]
    told = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": metrics}
    print(json.dumps({"_aws": told, "kind": context.function_name, "orders": 3}))
    return {}
"""


@pytest.fixture(scope="module")
def world(shared: Instance) -> Iterator[World]:
    need_runtime()
    yield World(shared)


def statistics(world: World, metric: str, namespace: str = "AWS/Lambda", **dimensions: str) -> dict[str, float]:
    """Of the last ten minutes: Sum, SampleCount, Maximum of all that there is, and p50; empty when there is nothing."""
    asked: dict[str, Any] = {
        "Namespace": namespace,
        "MetricName": metric,
        "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
        "StartTime": datetime.now(UTC) - timedelta(minutes=10),
        "EndTime": datetime.now(UTC) + timedelta(minutes=5),
        "Period": 3600,
    }
    cloudwatch = world.client("cloudwatch")
    found = cloudwatch.get_metric_statistics(**asked, Statistics=["Sum", "SampleCount", "Maximum"])["Datapoints"]
    told: dict[str, float] = {}
    for point in found:
        told["Sum"] = told.get("Sum", 0) + point["Sum"]
        told["SampleCount"] = told.get("SampleCount", 0) + point["SampleCount"]
        told["Maximum"] = max(told.get("Maximum", point["Maximum"]), point["Maximum"])
    if found:
        middle = cloudwatch.get_metric_statistics(**asked, ExtendedStatistics=["p50"])["Datapoints"]
        told["p50"] = middle[0]["ExtendedStatistics"]["p50"]
    return told


def test_three_invocations_of_which_one_fails(world: World) -> None:
    world.function("counted", CODE)
    for payload in ({}, {}, {"fail": True}):
        world.invoke("counted", payload)
    assert statistics(world, "Invocations", FunctionName="counted")["Sum"] == 3
    assert statistics(world, "Invocations", FunctionName="counted", Resource="counted")["Sum"] == 3
    assert statistics(world, "Invocations")["Sum"] >= 3
    errors = statistics(world, "Errors", FunctionName="counted")
    assert (errors["Sum"], errors["SampleCount"]) == (1, 3)
    duration = statistics(world, "Duration", FunctionName="counted")
    assert duration["SampleCount"] == 3 and 0 < duration["p50"] <= duration["Maximum"]
    assert statistics(world, "ConcurrentExecutions", FunctionName="counted")["Maximum"] == 1
    listed = world.client("cloudwatch").list_metrics(Namespace="AWS/Lambda", MetricName="Duration")["Metrics"]
    names = [sorted(each["Name"] for each in metric["Dimensions"]) for metric in listed]
    assert sorted(names) == [[], ["FunctionName"], ["FunctionName", "Resource"]]


def test_metrics_that_a_function_writes_into_its_log(world: World) -> None:
    world.function("writes", CODE)
    logs = world.client("logs")
    logs.create_log_group(logGroupName="/aws/lambda/writes")
    told = [{"metricName": "reports", "metricNamespace": "shop", "metricValue": "1"}]
    logs.put_metric_filter(
        logGroupName="/aws/lambda/writes", filterName="r", filterPattern="REPORT", metricTransformations=told
    )
    world.invoke("writes", {})
    eventually(lambda: statistics(world, "orders", "shop", kind="writes").get("Sum") == 3, timeout=30)
    eventually(lambda: statistics(world, "reports", "shop").get("Sum") == 1, timeout=30)


def test_a_mapping_whose_events_are_counted(world: World) -> None:
    function = world.function("mapped", CODE)
    url, arn = world.queue("counted-work", VisibilityTimeout="60")
    pattern = json.dumps({"body": {"kind": ["order"]}})
    made = world.client("lambda").create_event_source_mapping(
        EventSourceArn=arn,
        FunctionName=function,
        FilterCriteria={"Filters": [{"Pattern": pattern}]},
        MetricsConfig={"Metrics": ["EventCount"]},
    )
    assert made["MetricsConfig"] == {"Metrics": ["EventCount"]}
    for kind in ("order", "other", "order"):
        world.client("sqs").send_message(QueueUrl=url, MessageBody=json.dumps({"kind": kind}))

    def told(metric: str) -> float:
        return statistics(world, metric, EventSourceMappingUUID=made["UUID"]).get("Sum", 0)

    eventually(lambda: told("DeletedEventCount") == 2, timeout=60)
    assert told("PolledEventCount") == 3 and told("FilteredOutEventCount") == 1 and told("InvokedEventCount") == 2
    assert told("FailedInvokeEventCount") == 0


def test_events_that_nobody_waits_for(world: World) -> None:
    world.function("later", CODE)
    world.client("lambda").invoke(FunctionName="later", InvocationType="Event", Payload=b"{}")
    eventually(lambda: statistics(world, "Invocations", FunctionName="later").get("Sum") == 1, timeout=60)
    assert statistics(world, "AsyncEventsReceived", FunctionName="later")["Sum"] == 1
    assert statistics(world, "AsyncEventAge", FunctionName="later")["SampleCount"] == 1
    assert statistics(world, "AsyncEventsDropped", FunctionName="later") == {}


def test_metrics_that_are_put_away_outlive_the_process(world: World) -> None:
    world.function("kept", CODE)
    world.invoke("kept", {})
    told = statistics(world, "Invocations", FunctionName="kept")
    assert told["Sum"] == 1, "asking for them puts them away"
    kill(world.instance.run_file["pids"]["server"])
    eventually(lambda: answers(world))
    assert statistics(world, "Invocations", FunctionName="kept") == told


def answers(world: World) -> bool:
    try:
        return bool(world.instance.get("/_havre/health"))
    except OSError:
        return False
