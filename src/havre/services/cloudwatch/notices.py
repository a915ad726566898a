"""What topics, functions and EventBridge are told of an alarm, in AWS's shapes."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from havre.services.cloudwatch.resources import COMPOSITE, AlarmRecord, AlarmStatus

REGIONS = {
    "af-south-1": "Africa (Cape Town)",
    "ap-east-1": "Asia Pacific (Hong Kong)",
    "ap-northeast-1": "Asia Pacific (Tokyo)",
    "ap-northeast-2": "Asia Pacific (Seoul)",
    "ap-northeast-3": "Asia Pacific (Osaka)",
    "ap-south-1": "Asia Pacific (Mumbai)",
    "ap-southeast-1": "Asia Pacific (Singapore)",
    "ap-southeast-2": "Asia Pacific (Sydney)",
    "ca-central-1": "Canada (Central)",
    "eu-central-1": "EU (Frankfurt)",
    "eu-north-1": "EU (Stockholm)",
    "eu-south-1": "EU (Milan)",
    "eu-west-1": "EU (Ireland)",
    "eu-west-2": "EU (London)",
    "eu-west-3": "EU (Paris)",
    "me-south-1": "Middle East (Bahrain)",
    "sa-east-1": "South America (Sao Paulo)",
    "us-east-1": "US East (N. Virginia)",
    "us-east-2": "US East (Ohio)",
    "us-west-1": "US West (N. California)",
    "us-west-2": "US West (Oregon)",
}
_STATISTICS = {"SampleCount": "SAMPLE_COUNT"}


def moment(at: float) -> str:
    """``2019-10-02T17:04:40.985+0000``."""
    text = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return f"{text[:-3]}+0000"


def subject(alarm: AlarmRecord, state: str) -> str:
    region = REGIONS.get(alarm.meta.region, alarm.meta.region)
    return f'{state}: "{alarm.spec.name}" in {region}'[:100]


def for_topic(alarm: AlarmRecord, old: AlarmStatus, new: AlarmStatus) -> str:
    spec, meta = alarm.spec, alarm.meta
    told: dict[str, Any] = {
        "AlarmName": spec.name,
        "AlarmDescription": spec.given.get("AlarmDescription"),
        "AWSAccountId": meta.account,
        "AlarmConfigurationUpdatedTimestamp": moment(spec.configured),
        "NewStateValue": new.state,
        "NewStateReason": new.reason,
        "StateChangeTime": moment(new.since),
        "Region": REGIONS.get(meta.region, meta.region),
        "AlarmArn": meta.arn,
        "OldStateValue": old.state,
        "OKActions": list(spec.actions.get("OK", ())),
        "AlarmActions": list(spec.actions.get("ALARM", ())),
        "InsufficientDataActions": list(spec.actions.get("INSUFFICIENT_DATA", ())),
    }
    if spec.type == COMPOSITE:
        triggering = json.loads(new.data or "{}").get("triggeringAlarms") or []
        children = [
            {"Arn": each["arn"], "State": {name.capitalize(): value for name, value in each["state"].items()}}
            for each in triggering
        ]
        return json.dumps({**told, "AlarmRule": spec.rule, "TriggeringChildren": children})
    return json.dumps({**told, "Trigger": _trigger(spec.given)})


def _trigger(given: Mapping[str, Any]) -> dict[str, Any]:
    common = {
        "Period": given.get("Period"),
        "EvaluationPeriods": given["EvaluationPeriods"],
        "DatapointsToAlarm": given.get("DatapointsToAlarm"),
        "ComparisonOperator": given["ComparisonOperator"],
        "Threshold": given["Threshold"],
        "TreatMissingData": given.get("TreatMissingData", ""),
        "EvaluateLowSampleCountPercentile": given.get("EvaluateLowSampleCountPercentile", ""),
    }
    common = {name: value for name, value in common.items() if value is not None}
    if given.get("Metrics"):
        return {**common, "Metrics": [_topic_query(each) for each in given["Metrics"]]}
    told = {
        **common,
        "MetricName": given["MetricName"],
        "Namespace": given["Namespace"],
        "Unit": given.get("Unit"),
        "Dimensions": _swapped(given.get("Dimensions")),
    }
    if "Statistic" in given:
        name = given["Statistic"]
        return {**told, "StatisticType": "Statistic", "Statistic": _STATISTICS.get(name, name.upper())}
    return {**told, "StatisticType": "ExtendedStatistic", "ExtendedStatistic": given["ExtendedStatistic"]}


def _swapped(dimensions: Sequence[Mapping[str, str]] | None) -> list[dict[str, str]]:
    return [{"value": each["Value"], "name": each["Name"]} for each in dimensions or ()]


def _topic_query(query: Mapping[str, Any]) -> dict[str, Any]:
    told = {**query, "ReturnData": query.get("ReturnData", True)}
    if "MetricStat" in query:
        metric = query["MetricStat"]["Metric"]
        told["MetricStat"] = {
            **query["MetricStat"],
            "Metric": {**metric, "Dimensions": _swapped(metric.get("Dimensions"))},
        }
    return told


def for_function(alarm: AlarmRecord, old: AlarmStatus, new: AlarmStatus) -> str:
    meta = alarm.meta
    return json.dumps(
        {
            "source": "aws.cloudwatch",
            "alarmArn": meta.arn,
            "accountId": meta.account,
            "time": moment(new.since),
            "region": meta.region,
            "alarmData": _state_change(alarm, old, new),
        }
    )


def state_change(alarm: AlarmRecord, old: AlarmStatus, new: AlarmStatus) -> str:
    """An entry of PutEvents."""
    return _entry("CloudWatch Alarm State Change", alarm, new.since, _state_change(alarm, old, new))


def configuration_change(alarm: AlarmRecord, operation: str, at: float, before: AlarmRecord | None = None) -> str:
    """An entry of PutEvents. ``operation``: create, update or delete."""
    detail = {
        "alarmName": alarm.spec.name,
        "operation": operation,
        "state": state(alarm.status),
        "configuration": _whole(alarm),
    }
    if before is not None:
        detail["previousConfiguration"] = _whole(before)
    return _entry("CloudWatch Alarm Configuration Change", alarm, at, detail)


def _entry(what: str, alarm: AlarmRecord, at: float, detail: Mapping[str, Any]) -> str:
    entry = {"Source": "aws.cloudwatch", "DetailType": what, "Resources": [alarm.meta.arn], "Time": at}
    return json.dumps({**entry, "Detail": json.dumps(detail)})


def held(status: AlarmStatus) -> dict[str, Any]:
    """By what an alarm's actions are held back, by the names of DescribeAlarms."""
    if status.hold is None:
        return {}
    by = status.hold.by
    return {"ActionsSuppressedBy": by, "ActionsSuppressedReason": f"Actions suppressed by {by}"}


def state(status: AlarmStatus) -> dict[str, Any]:
    told = {"value": status.state, "reason": status.reason, "timestamp": moment(status.since)}
    told |= {name[0].lower() + name[1:]: value for name, value in held(status).items()}
    return {**told, "reasonData": status.data} if status.data else told


def _state_change(alarm: AlarmRecord, old: AlarmStatus, new: AlarmStatus) -> dict[str, Any]:
    return {
        "alarmName": alarm.spec.name,
        "state": state(new),
        "previousState": state(old),
        "configuration": _configuration(alarm),
    }


def _configuration(alarm: AlarmRecord) -> dict[str, Any]:
    spec = alarm.spec
    told: dict[str, Any] = {"alarmRule": spec.rule} if spec.type == COMPOSITE else {"metrics": _metrics(alarm)}
    if "AlarmDescription" in spec.given:
        told["description"] = spec.given["AlarmDescription"]
    return told


def _whole(alarm: AlarmRecord) -> dict[str, Any]:
    spec = alarm.spec
    named = ("EvaluationPeriods", "DatapointsToAlarm", "Threshold", "ComparisonOperator", "TreatMissingData")
    return {
        **_configuration(alarm),
        **{name[0].lower() + name[1:]: spec.given[name] for name in named if name in spec.given},
        "alarmName": spec.name,
        "actionsEnabled": spec.enabled,
        "timestamp": moment(spec.configured),
        "okActions": list(spec.actions.get("OK", ())),
        "alarmActions": list(spec.actions.get("ALARM", ())),
        "insufficientDataActions": list(spec.actions.get("INSUFFICIENT_DATA", ())),
    }


def _metrics(alarm: AlarmRecord) -> list[dict[str, Any]]:
    given = alarm.spec.given
    if given.get("Metrics"):
        return [_query(each) for each in given["Metrics"]]
    stat = {"Metric": given, "Period": given["Period"], "Stat": given.get("Statistic") or given["ExtendedStatistic"]}
    if "Unit" in given:
        stat["Unit"] = given["Unit"]
    id = str(uuid.uuid5(uuid.NAMESPACE_URL, alarm.meta.arn))
    return [_query({"Id": id, "MetricStat": stat, "ReturnData": True})]


def _query(query: Mapping[str, Any]) -> dict[str, Any]:
    """A MetricDataQuery as events spell it."""
    plain = {"id": query["Id"], "expression": query.get("Expression"), "label": query.get("Label")}
    told = {name: value for name, value in plain.items() if value is not None}
    if "MetricStat" in query:
        stat, metric = query["MetricStat"], query["MetricStat"]["Metric"]
        dimensions = {each["Name"]: each["Value"] for each in metric.get("Dimensions") or ()}
        told["metricStat"] = {
            "metric": {"namespace": metric["Namespace"], "name": metric["MetricName"], "dimensions": dimensions},
            "period": stat["Period"],
            "stat": stat["Stat"],
            **({"unit": stat["Unit"]} if "Unit" in stat else {}),
        }
    return {**told, "returnData": query.get("ReturnData", True)}
