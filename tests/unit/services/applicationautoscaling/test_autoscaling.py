"""Scalable targets, policies and schedules, on a Lambda that only keeps numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.running_gateway import Running, code

from havre.control.deps import ReconcilerDeps
from havre.control.operation import Operations, Service
from havre.control.patient import patient
from havre.kernel.errors import ApiError
from havre.services.applicationautoscaling import Measures, service
from havre.services.applicationautoscaling.scaler import Scaler

WHERE = {
    "ServiceNamespace": "lambda",
    "ResourceId": "function:f:live",
    "ScalableDimension": "lambda:function:ProvisionedConcurrency",
}


class Numbers:
    """Provisioned concurrency of one alias."""

    def __init__(self) -> None:
        self.count: int | None = None
        self.failure: ApiError | None = None
        self.callers: list[Any] = []

    def service(self) -> Service:
        ops = Operations()

        @ops("GetFunctionConfiguration")
        async def get_function(call: Any, request: Any) -> Any:
            if request["FunctionName"] != "f":
                raise ApiError("ResourceNotFoundException", "no such function")
            return {"FunctionName": "f"}

        @ops("GetProvisionedConcurrencyConfig")
        async def get(call: Any, request: Any) -> Any:
            if self.count is None:
                raise ApiError("ProvisionedConcurrencyConfigNotFoundException", "none")
            return {"RequestedProvisionedConcurrentExecutions": self.count}

        @ops("PutProvisionedConcurrencyConfig")
        async def put(call: Any, request: Any) -> Any:
            self.callers.append(call.principal)
            if self.failure is not None:
                raise self.failure
            self.count = request["ProvisionedConcurrentExecutions"]
            return {}

        @ops("DeleteProvisionedConcurrencyConfig")
        async def delete(call: Any, request: Any) -> Any:
            self.count = None
            return {}

        return Service("lambda", ops.all)

    def ecs(self) -> Service:
        """One service, whose desired count is the same number."""
        ops = Operations()

        @ops("DescribeServices")
        async def describe(call: Any, request: Any) -> Any:
            if request["cluster"] != "c" or self.count is None:
                raise ApiError("ClusterNotFoundException", "Cluster not found.")
            return {"services": [{"serviceName": "s", "status": "ACTIVE", "desiredCount": self.count}]}

        @ops("UpdateService")
        async def update(call: Any, request: Any) -> Any:
            self.callers.append(call.principal)
            self.count = request["desiredCount"]
            return {"service": {"serviceName": "s"}}

        return Service("ecs", ops.all)


class Scene:
    def __init__(self) -> None:
        self.numbers = Numbers()
        self.used: float | None = None
        self.running = running = Running(besides=[service(), self.numbers.service(), self.numbers.ecs()])
        self.client = running.client("application-autoscaling")

        def aws_for(account: str, region: str, service: str, source: str = "", trace: str = "") -> Any:
            return patient(running.gateway.as_service(service, account, region, source, trace))

        site = running.gateway.parts.site
        deps = ReconcilerDeps(running.store, running.journal, running.world, site, aws_for)
        self.scaler = Scaler(deps, Measures(lambda *where: self.used))

    def register(self, least: int = 1, most: int = 10, **more: Any) -> str:
        answer = self.client.register_scalable_target(MinCapacity=least, MaxCapacity=most, **WHERE, **more)
        return str(answer["ScalableTargetARN"])

    def track(self, target: float = 0.7, **more: Any) -> None:
        tracking = {
            "TargetValue": target,
            "PredefinedMetricSpecification": {"PredefinedMetricType": "LambdaProvisionedConcurrencyUtilization"},
            **more,
        }
        self.client.put_scaling_policy(
            PolicyName="p",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=tracking,
            **WHERE,
        )

    def turn(self, seconds: float = 0.0) -> None:
        self.running.offset += seconds
        self.running.wait(self.scaler.turn())

    def minutes(self, count: int, used: float) -> None:
        self.used = used
        for _ in range(count):
            self.turn(60)


@pytest.fixture
def scene() -> Iterator[Scene]:
    found = Scene()
    yield found
    found.running.close()


def test_capacity_comes_within_the_bounds(scene: Scene) -> None:
    arn = scene.register(2, 10)
    scene.turn()
    assert scene.numbers.count == 2
    assert scene.numbers.callers[0].service == "lambda.application-autoscaling.amazonaws.com"
    (target,) = scene.client.describe_scalable_targets(ServiceNamespace="lambda")["ScalableTargets"]
    assert target["ScalableTargetARN"] == arn and (target["MinCapacity"], target["MaxCapacity"]) == (2, 10)
    assert target["RoleARN"].endswith("/AWSServiceRoleForApplicationAutoScaling_LambdaConcurrency")
    assert scene.register(0, 1) == arn
    scene.turn()
    assert scene.numbers.count == 1
    told = scene.client.describe_scaling_activities(ServiceNamespace="lambda")["ScalingActivities"]
    assert [a["Description"] for a in told] == ["Setting capacity to 1.", "Setting capacity to 2."]


def test_it_follows_its_use(scene: Scene) -> None:
    scene.register()
    scene.track()
    scene.turn()
    scene.minutes(5, 1.0)
    assert scene.numbers.count is not None and scene.numbers.count > 1
    grown = scene.numbers.count
    scene.minutes(20, 0.1)
    assert scene.numbers.count < grown
    scene.running.offset = 0.0  # signatures are for a quarter of an hour
    told = scene.client.describe_scaling_activities(ServiceNamespace="lambda")["ScalingActivities"]
    assert told[0]["Cause"] == "policy p" and told[0]["StatusCode"] == "Successful"


def test_suspended_targets_stay(scene: Scene) -> None:
    scene.register(SuspendedState={"DynamicScalingOutSuspended": True})
    scene.track()
    scene.turn()
    scene.minutes(6, 1.0)
    assert scene.numbers.count == 1


def test_what_fails_is_told_once(scene: Scene) -> None:
    scene.register(5, 10)
    scene.numbers.failure = ApiError("InvalidParameterValueException", "too much")
    scene.turn()
    scene.turn()
    (told,) = scene.client.describe_scaling_activities(ServiceNamespace="lambda")["ScalingActivities"]
    assert told["StatusCode"] == "Failed" and "too much" in told["StatusMessage"]
    scene.numbers.failure = None
    scene.turn()
    assert scene.numbers.count == 5


def test_schedules(scene: Scene) -> None:
    scene.register()
    put = scene.client.put_scheduled_action
    put(
        ScheduledActionName="a",
        Schedule="rate(5 minutes)",
        ScalableTargetAction={"MinCapacity": 4, "MaxCapacity": 8},
        **WHERE,
    )
    scene.turn()
    assert scene.numbers.count == 1
    scene.turn(301)
    assert scene.numbers.count == 4
    (target,) = scene.client.describe_scalable_targets(ServiceNamespace="lambda")["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (4, 8)
    (action,) = scene.client.describe_scheduled_actions(ServiceNamespace="lambda")["ScheduledActions"]
    assert action["Schedule"] == "rate(5 minutes)" and action["ScalableTargetAction"] == {
        "MinCapacity": 4,
        "MaxCapacity": 8,
    }
    scene.client.delete_scheduled_action(ScheduledActionName="a", **WHERE)
    assert code(put, ScheduledActionName="a", Schedule="sometimes", **WHERE) == "ValidationException"
    bad_zone = {"Schedule": "rate(1 day)", "Timezone": "Nowhere/At"}
    assert code(put, ScheduledActionName="a", **bad_zone, ScalableTargetAction={"MinCapacity": 1}, **WHERE) == (
        "ValidationException"
    )


def test_refusals(scene: Scene) -> None:
    register = scene.client.register_scalable_target
    assert (
        code(register, **{**WHERE, "ResourceId": "function:g:live"}, MinCapacity=1, MaxCapacity=2)
        == "ValidationException"
    )
    assert code(register, **{**WHERE, "ResourceId": "f"}, MinCapacity=1, MaxCapacity=2) == "ValidationException"
    assert code(register, **WHERE) == "ValidationException"
    assert code(register, **WHERE, MinCapacity=3, MaxCapacity=2) == "ValidationException"
    other = {**WHERE, "ServiceNamespace": "dynamodb", "ScalableDimension": "dynamodb:table:ReadCapacityUnits"}
    assert code(register, **other, MinCapacity=1, MaxCapacity=2) == "NotImplementedException"
    assert code(scene.client.delete_scaling_policy, PolicyName="p", **WHERE) == "ObjectNotFoundException"
    scene.register()
    put = scene.client.put_scaling_policy
    assert code(put, PolicyName="p", PolicyType="PredictiveScaling", **WHERE) == "NotImplementedException"
    assert code(put, PolicyName="p", PolicyType="StepScaling", **WHERE) == "ValidationException"
    steps = {"AdjustmentType": "ChangeInCapacity", "StepAdjustments": [{"ScalingAdjustment": 1}]}
    stepping = {"PolicyType": "StepScaling", "StepScalingPolicyConfiguration": steps}
    assert code(put, PolicyName="p", **stepping, **WHERE) == "ValidationException", "not for this dimension"
    assert code(put, PolicyName="p", PolicyType="TargetTrackingScaling", **WHERE) == "ValidationException"
    assert code(scene.client.delete_scaling_policy, PolicyName="p", **WHERE) == "ObjectNotFoundException"
    scene.track()
    (policy,) = scene.client.describe_scaling_policies(ServiceNamespace="lambda")["ScalingPolicies"]
    assert policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 0.7
    scene.client.delete_scaling_policy(PolicyName="p", **WHERE)
    scene.client.deregister_scalable_target(**WHERE)
    assert scene.client.describe_scalable_targets(ServiceNamespace="lambda")["ScalableTargets"] == []


def test_tags(scene: Scene) -> None:
    arn = scene.register(Tags={"a": "1"})
    scene.client.tag_resource(ResourceARN=arn, Tags={"b": "2"})
    scene.client.untag_resource(ResourceARN=arn, TagKeys=["a"])
    assert scene.client.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"b": "2"}
    assert code(scene.client.list_tags_for_resource, ResourceARN=arn + "x") == "ResourceNotFoundException"


def test_ecs_services_follow_a_schedule(scene: Scene) -> None:
    where = {
        "ServiceNamespace": "ecs",
        "ResourceId": "service/c/s",
        "ScalableDimension": "ecs:service:DesiredCount",
    }
    register = scene.client.register_scalable_target
    assert code(register, **where, MinCapacity=1, MaxCapacity=2) == "ValidationException"
    scene.numbers.count = 0
    register(**where, MinCapacity=1, MaxCapacity=4)
    scene.turn()
    assert scene.numbers.count == 1
    assert scene.numbers.callers[0].role.endswith("AWSServiceRoleForApplicationAutoScaling_ECSService")
    wanted = {"MinCapacity": 3, "MaxCapacity": 4}
    scene.client.put_scheduled_action(
        ScheduledActionName="a", Schedule="rate(1 minute)", ScalableTargetAction=wanted, **where
    )
    scene.turn(61)
    assert scene.numbers.count == 3
