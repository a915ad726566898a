"""Metrics and alarms as users have them: by the AWS CLI and boto3, through kill -9, to a topic's queue and a rule's."""

from __future__ import annotations

import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from .conftest import AWS, Instance, Starter, eventually, kill
from .test_messages import queue, taken, until_acknowledged

pytestmark = pytest.mark.timeout(300)
EACH, WRITERS, KILLS = 400, 4, 3


def minute(ago: int = 0) -> float:
    return float(int(time.time()) // 60 * 60 - 60 * ago)


def aws(instance: Instance, *arguments: str) -> Any:
    command = [AWS, "cloudwatch", *arguments, "--output", "json"]
    done = subprocess.run(command, env=instance.env, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout.strip() else None


def test_the_command_line_puts_and_gets(havre: Starter) -> None:
    instance = havre()
    start, end = (datetime.fromtimestamp(at, UTC).isoformat() for at in (minute(5), minute(-2)))
    named = ["--namespace", "App", "--metric-name", "Latency"]
    for value in ("1.5", "3"):
        aws(instance, "put-metric-data", *named, "--value", value, "--unit", "Seconds", "--dimensions", "Host=a")
    ((listed,),) = aws(instance, "list-metrics", "--query", "Metrics[].[MetricName]")
    assert listed == "Latency"
    span = ["--start-time", start, "--end-time", end, "--period", "300", "--dimensions", "Name=Host,Value=a"]
    asked = ["--statistics", "Sum", "SampleCount", "--unit", "Seconds"]
    found = aws(instance, "get-metric-statistics", *named, *span, *asked)["Datapoints"]
    assert (sum(p["Sum"] for p in found), sum(p["SampleCount"] for p in found)) == (4.5, 2)
    aws(instance, "put-metric-alarm", "--alarm-name", "slow", *named, "--statistic", "Sum", "--period", "60",
        "--evaluation-periods", "1", "--threshold", "1", "--comparison-operator", "GreaterThanThreshold",
        "--treat-missing-data", "breaching")  # fmt: skip

    def state() -> str:
        return str(aws(instance, "describe-alarms", "--query", "MetricAlarms[0].StateValue"))

    eventually(lambda: state() == "ALARM", 60)
    body = json.dumps({"widgets": [{"type": "text", "properties": {"markdown": "hi"}}]})
    aws(instance, "put-dashboard", "--dashboard-name", "d", "--dashboard-body", body)
    assert aws(instance, "get-dashboard", "--dashboard-name", "d")["DashboardBody"] == body


def test_data_points_that_were_acknowledged_survive_kills(havre: Starter) -> None:
    instance = havre()

    def put(writer: int) -> None:
        client = instance.client("cloudwatch")
        for n in range(EACH):
            data = [{"MetricName": f"m{writer}-{n}", "Value": float(n), "Timestamp": minute(1)}]
            until_acknowledged(lambda data=data: client.put_metric_data(Namespace="App", MetricData=data))

    with ThreadPoolExecutor(WRITERS) as pool:
        work = [pool.submit(put, writer) for writer in range(WRITERS)]
        for _ in range(KILLS):
            time.sleep(0.4)  # somewhere in the middle: any instant will do
            kill(instance.run_file["pids"]["server"])
        for each in work:
            each.result()
    kill(instance.run_file["pids"]["server"])
    client = instance.client("cloudwatch")
    until_acknowledged(client.list_metrics)
    names = {m["MetricName"] for page in client.get_paginator("list_metrics").paginate() for m in page["Metrics"]}
    assert names == {f"m{writer}-{n}" for writer in range(WRITERS) for n in range(EACH)}
    search = {"Id": "s", "Expression": "SUM(SEARCH('{App} m0', 'Maximum', 60))"}
    span = {"StartTime": minute(600), "EndTime": minute(-5)}
    (result,) = client.get_metric_data(MetricDataQueries=[search], **span)["MetricDataResults"]
    assert len(result["Values"]) >= 1


def test_an_alarm_reaches_its_topic_and_its_rule_though_the_server_is_killed(havre: Starter) -> None:
    instance = havre()
    watch, sns, events = (instance.client(name) for name in ("cloudwatch", "sns", "events"))
    told, told_arn = queue(instance, "told", "sns.amazonaws.com")
    ruled, ruled_arn = queue(instance, "ruled", "events.amazonaws.com")
    topic = sns.create_topic(Name="alarms")["TopicArn"]
    raw = {"RawMessageDelivery": "true"}
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=told_arn, Attributes=raw)
    pattern = {"source": ["aws.cloudwatch"], "detail-type": ["CloudWatch Alarm State Change"]}
    events.put_rule(Name="r", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="r", Targets=[{"Id": "1", "Arn": ruled_arn, "InputPath": "$.detail.state.value"}])
    watch.put_metric_alarm(
        AlarmName="many",
        Namespace="App",
        MetricName="Errors",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=2.0,
        ComparisonOperator="GreaterThanThreshold",
        AlarmActions=[topic],
    )
    data = [{"MetricName": "Errors", "Value": 5.0, "Timestamp": minute(1)}]
    watch.put_metric_data(Namespace="App", MetricData=data)
    kill(instance.run_file["pids"]["server"])
    until_acknowledged(watch.describe_alarms)
    (message,) = (json.loads(text) for text in taken(instance, told, bool))
    assert (message["AlarmName"], message["NewStateValue"]) == ("many", "ALARM")
    assert taken(instance, ruled, bool)[0] == '"ALARM"'
    (found,) = watch.describe_alarms(AlarmNames=["many"])["MetricAlarms"]
    assert found["StateReason"].endswith("was greater than the threshold (2.0).")
    summaries = [i["HistorySummary"] for i in watch.describe_alarm_history(AlarmName="many")["AlarmHistoryItems"]]
    assert f"Successfully executed action {topic}" in summaries
