"""ECS services follow alarms, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.running_gateway import code
from tests.unit.services.applicationautoscaling.test_target_tracking import WHERE, Scene

OUT = [
    {"MetricIntervalLowerBound": 0.0, "MetricIntervalUpperBound": 10.0, "ScalingAdjustment": 1},
    {"MetricIntervalLowerBound": 10.0, "ScalingAdjustment": 3},
]


class Stepped(Scene):
    def step(self, name: str = "out", **members: Any) -> str:
        given = {"AdjustmentType": "ChangeInCapacity", "StepAdjustments": OUT, **members}
        made = self.scaling.put_scaling_policy(
            PolicyName=name, PolicyType="StepScaling", StepScalingPolicyConfiguration=given, **WHERE
        )
        return str(made["PolicyARN"])

    def alarm(self, name: str, state: str = "ALARM", **more: Any) -> None:
        about = {"Namespace": "App", "MetricName": "Backlog", "Statistic": "Average", "Period": 60}
        compared = {"EvaluationPeriods": 1, "Threshold": 50.0, "ComparisonOperator": "GreaterThanThreshold"}
        self.client.put_metric_alarm(AlarmName=name, **{**about, **compared, **more})
        self.client.set_alarm_state(AlarmName=name, StateValue=state, StateReason="a test")

    def backlog(self, value: float, seconds: float = 60) -> None:
        """What it is in this minute; then time passes."""
        at = self.running.world.now()
        self.client.put_metric_data(
            Namespace="App", MetricData=[{"MetricName": "Backlog", "Value": value, "Timestamp": at}]
        )
        self.running.offset += seconds
        self.running.wait(self.scaler.turn())


@pytest.fixture
def scene() -> Iterator[Stepped]:
    made = Stepped()
    yield made
    made.close()


def test_the_step_is_that_of_the_distance(scene: Stepped) -> None:
    arn = scene.step(Cooldown=0)
    scene.alarm("high", AlarmActions=[arn])
    scene.backlog(55)
    assert scene.numbers.count == 3
    scene.backlog(65)
    assert scene.numbers.count == 6, "an alarm that stays is followed every minute"
    scene.running.wait(scene.scaler.turn())
    assert scene.numbers.count == 6
    told = scene.scaling.describe_scaling_activities(ServiceNamespace="ecs")["ScalingActivities"]
    assert [each["Cause"] for each in told] == ["policy out", "policy out"]


def test_it_cools_down(scene: Stepped) -> None:
    arn = scene.step()
    scene.alarm("high", AlarmActions=[arn])
    scene.backlog(55)
    scene.backlog(55)
    assert scene.numbers.count == 3, "five minutes, where nothing is said"
    scene.backlog(70)
    assert scene.numbers.count == 5, "more than that one step: 2 + 3, and not 3 + 3"


def test_less_when_all_is_well(scene: Stepped) -> None:
    scene.numbers.count = 9
    down = [{"MetricIntervalUpperBound": 0.0, "ScalingAdjustment": -50}]
    arn = scene.step("in", AdjustmentType="PercentChangeInCapacity", StepAdjustments=down, Cooldown=0)
    scene.alarm("high", "OK", OKActions=[arn])
    scene.backlog(10)
    assert scene.numbers.count == 5
    scene.client.disable_alarm_actions(AlarmNames=["high"])
    scene.backlog(10)
    assert scene.numbers.count == 5


def test_other_states_and_other_policies_are_not_followed(scene: Stepped) -> None:
    arn = scene.step(Cooldown=0)
    other = scene.step("outer", Cooldown=0)
    scene.alarm("high", "OK", AlarmActions=[arn])
    scene.backlog(70)
    assert scene.numbers.count == 2
    (out, outer) = scene.scaling.describe_scaling_policies(ServiceNamespace="ecs")["ScalingPolicies"]
    assert [each["AlarmName"] for each in out["Alarms"]] == ["high"] and outer["Alarms"] == []
    assert out["StepScalingPolicyConfiguration"] == {
        "AdjustmentType": "ChangeInCapacity",
        "StepAdjustments": OUT,
        "Cooldown": 0,
    }
    assert (out["PolicyType"], out["PolicyARN"], outer["PolicyARN"]) == ("StepScaling", arn, other)


def test_what_the_alarm_has_said_stands_in_for_what_is_missing(scene: Stepped) -> None:
    arn = scene.step(Cooldown=0)
    scene.alarm("high", AlarmActions=[arn])
    data = '{"recentDatapoints": [71.0], "threshold": 50.0}'
    scene.client.set_alarm_state(AlarmName="high", StateValue="ALARM", StateReason="a test", StateReasonData=data)
    scene.running.wait(scene.scaler.turn())
    assert scene.numbers.count == 5


def test_steps_that_are_none(scene: Stepped) -> None:
    def refused(**given: Any) -> str:
        return code(
            scene.scaling.put_scaling_policy,
            PolicyName="p",
            PolicyType="StepScaling",
            StepScalingPolicyConfiguration=given,
            **WHERE,
        )

    assert refused() == refused(AdjustmentType="ChangeInCapacity") == "ValidationException"
    gap = [{**OUT[0], "MetricIntervalUpperBound": 5.0}, OUT[1]]
    assert refused(AdjustmentType="ChangeInCapacity", StepAdjustments=gap) == "ValidationException"
    assert scene.scaling.describe_scaling_policies(ServiceNamespace="ecs")["ScalingPolicies"] == []
