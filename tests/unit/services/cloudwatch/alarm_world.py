"""CloudWatch with its loop and its deliveries running, on points in memory; topics are SNS's own, queues and functions take
note, and EventBridge is a list."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.running_gateway import ACCOUNT
from tests.running_targets import Targets, function_arn, queue_arn

from havre.control.metrics import Recorder
from havre.control.operation import Operations, Service
from havre.core.metrics.values import merge
from havre.services import cloudwatch, sns
from havre.services.cloudwatch.resources import ACTION
from havre.services.sns.resources import DELIVERY
from havre.store.memory_points import MemoryPoints

__all__ = ["AlarmWorld", "function_arn"]
ARN = f"arn:aws:cloudwatch:us-east-1:{ACCOUNT}:alarm"
SIMPLE: dict[str, Any] = {
    "Namespace": "App",
    "MetricName": "Errors",
    "Statistic": "Sum",
    "Period": 60,
    "EvaluationPeriods": 1,
    "Threshold": 2.0,
    "ComparisonOperator": "GreaterThanThreshold",
}


class AlarmWorld(Targets):
    def __init__(self) -> None:
        self.points = MemoryPoints(merge)
        self.recorder = Recorder(time.time, lambda: self.points)
        facilities = cloudwatch.Facilities(lambda: self.points, self.recorder.flush)
        self.events: list[dict[str, Any]] = []
        super().__init__(
            [cloudwatch.service(facilities), sns.service(), self._events()],
            lambda deps: [*cloudwatch.reconcilers(deps, facilities), *sns.reconcilers(deps)],
            lambda deps: cloudwatch.loops(deps, facilities),
            resource_policies={"sns": sns.resource_policy},
        )
        self.client = self.running.client("cloudwatch", parameter_validation=False)

    def _events(self) -> Service:
        ops = Operations()

        @ops("PutEvents")
        async def put(call: Any, request: Any) -> Any:
            self.events += [{**each, "Detail": json.loads(each["Detail"])} for each in request["Entries"]]
            return {"FailedEntryCount": 0, "Entries": [{"EventId": "e"} for _ in request["Entries"]]}

        return Service("events", ops.all)

    def topic(self, name: str = "alarms", **attributes: str) -> str:
        """Of which a queue gets what is published."""
        client = self.running.client("sns")
        arn = str(client.create_topic(Name=name, Attributes=attributes)["TopicArn"])
        raw = {"RawMessageDelivery": "true"}
        client.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue_arn(name), Attributes=raw)
        return arn

    def messages(self, queue: str = "alarms") -> list[dict[str, Any]]:
        return [json.loads(each["MessageBody"]) for each in self.sent(queue)]

    def put(self, value: float, ago: int = 1, metric: str = "Errors", **more: Any) -> None:
        """A data point of a minute that has ended."""
        at = int(time.time()) // 60 * 60 - 60 * ago
        data = [{"MetricName": metric, "Value": value, "Timestamp": at, **more}]
        self.client.put_metric_data(Namespace="App", MetricData=data)

    def alarm(self, name: str = "a", **more: Any) -> None:
        self.client.put_metric_alarm(AlarmName=name, **{**SIMPLE, **more})

    def expression(self, name: str, metrics: list[dict[str, Any]], **more: Any) -> None:
        of_all = {key: SIMPLE[key] for key in ("EvaluationPeriods", "Threshold", "ComparisonOperator")}
        self.client.put_metric_alarm(AlarmName=name, Metrics=metrics, **{**of_all, **more})

    def described(self, name: str = "a") -> dict[str, Any]:
        answer = self.client.describe_alarms(AlarmNames=[name], AlarmTypes=["MetricAlarm", "CompositeAlarm"])
        (found,) = answer["MetricAlarms"] + answer["CompositeAlarms"]
        return dict(found)

    def state(self, name: str = "a") -> str:
        return str(self.described(name)["StateValue"])

    def until_state(self, state: str, name: str = "a") -> dict[str, Any]:
        self.until(lambda: self.state(name) == state, f"{name} in {state}")
        self.settled(ACTION, DELIVERY)
        return self.described(name)

    def history(self, name: str = "a", **more: Any) -> list[dict[str, Any]]:
        return list(self.client.describe_alarm_history(AlarmName=name, **more)["AlarmHistoryItems"])

    def told(self, what: str) -> list[dict[str, Any]]:
        """EventBridge's events of this detail type."""
        return [each for each in self.events if each["DetailType"] == f"CloudWatch Alarm {what}"]


def stat(id: str, metric: str, returned: bool = False) -> dict[str, Any]:
    named = {"Namespace": "App", "MetricName": metric}
    return {"Id": id, "MetricStat": {"Metric": named, "Period": 60, "Stat": "Sum"}, "ReturnData": returned}
