"""Alarms that are refused, and how."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.services.cloudwatch.alarm_world import SIMPLE, AlarmWorld, stat
from tests.unit.services.cloudwatch.cloudwatch_harness import refusal


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        ({"Metrics": []}, "ValidationError", "Exactly one"),
        ({"Statistic": None}, "ValidationError", "Statistic"),
        ({"ExtendedStatistic": "p90"}, "ValidationError", "Statistic"),
        ({"Statistic": None, "ExtendedStatistic": "p900"}, "ValidationError", "p900"),
        ({"Period": 45}, "ValidationError", "Period must be"),
        ({"Period": None}, "ValidationError", "Period"),
        ({"Namespace": None}, "ValidationError", "Namespace"),
        ({"Threshold": None}, "ValidationError", "Threshold"),
        ({"EvaluationPeriods": 2000}, "ValidationError", "more than a day"),
        ({"Period": 86400, "EvaluationPeriods": 8}, "ValidationError", "more than a week"),
        ({"DatapointsToAlarm": 2}, "ValidationError", "DatapointsToAlarm"),
        ({"TreatMissingData": "odd"}, "ValidationError", "Option odd is not supported"),
        ({"EvaluateLowSampleCountPercentile": "ignore"}, "ValidationError", "percentiles"),
        ({"AlarmActions": ["topic"]}, "ValidationError", "Invalid arn syntax: topic"),
        ({"AlarmActions": ["arn:aws:sns:eu-west-1:1:t"]}, "ValidationError", "Invalid region eu-west-1"),
        ({"AlarmActions": ["arn:aws:automate:us-east-1:ec2:stop"]}, "NotImplementedException", "ec2"),
        ({"OKActions": ["arn:aws:ssm:us-east-1:1:opsitem:1"]}, "NotImplementedException", "ssm"),
        (
            {"AlarmActions": ["arn:aws:autoscaling:us-east-1:1:scalingPolicy:x"]},
            "NotImplementedException",
            "autoscaling",
        ),
        ({"ComparisonOperator": "GreaterThanUpperThreshold"}, "NotImplementedException", "anomaly"),
        ({"EvaluationWindow": {"WallClockWindow": {}}, "Period": 120}, "ValidationError", "WallClockWindow"),
        ({"EvaluationWindow": {"WallClockWindow": {"Timezone": "Europe/Paris"}}}, "NotImplementedException", "Europe"),
        ({"EvaluationWindow": {"WallClockWindow": {}}, "Period": 604800}, "NotImplementedException", "weeks"),
        ({"WarmUpConfiguration": {"WarmUpPeriodDurationInMinutes": 5}}, "NotImplementedException", "WarmUp"),
    ],
)
def test_bad_alarms_are_refused(world: AlarmWorld, more: dict[str, Any], code: str, said: str) -> None:
    asked = {name: value for name, value in {**SIMPLE, "AlarmName": "a", **more}.items() if value is not None}
    found = refusal(world.client.put_metric_alarm, **asked)
    assert found[0] == code, found
    assert said in found[1]
    assert world.client.describe_alarms()["MetricAlarms"] == []


def test_bad_expressions_of_alarms_are_refused(world: AlarmWorld) -> None:
    for metrics, said in (
        ([stat("a", "x", True), stat("b", "y", True)], "Exactly one element"),
        ([stat("a", "x"), {"Id": "e", "Expression": "nobody"}], "Unknown identifier"),
        ([stat("a", "x"), {"Id": "e", "Expression": "SELECT a"}], "Metrics Insights"),
    ):
        of_all = {key: SIMPLE[key] for key in ("EvaluationPeriods", "Threshold", "ComparisonOperator")}
        found = refusal(world.client.put_metric_alarm, AlarmName="a", Metrics=metrics, **of_all)
        assert found[0] == "ValidationError"
        assert said in found[1]


def test_what_is_not_there_cannot_be_set(world: AlarmWorld) -> None:
    setting = {"AlarmName": "none", "StateReason": "r"}
    assert refusal(world.client.set_alarm_state, StateValue="OK", **setting)[0] == "ResourceNotFound"
    code, message = refusal(world.client.set_alarm_state, StateValue="INVALID", **setting)
    assert code == "ValidationError"
    assert "Value 'INVALID' at 'stateValue' failed to satisfy constraint: Member must satisfy enum value set" in message
    world.alarm()
    bad = refusal(world.client.set_alarm_state, AlarmName="a", StateValue="OK", StateReason="r", StateReasonData="{")
    assert bad[0] == "InvalidFormat"
    world.client.delete_alarms(AlarmNames=["none", "a"])
    assert world.client.describe_alarms()["MetricAlarms"] == []
