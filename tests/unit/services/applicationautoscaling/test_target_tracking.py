"""ECS services follow metrics of CloudWatch: the predefined ones of services, and any other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.running_gateway import ACCOUNT, code
from tests.unit.services.applicationautoscaling.test_autoscaling import Numbers
from tests.unit.services.cloudwatch.cloudwatch_harness import CloudWatch

from havre.control.deps import ReconcilerDeps
from havre.control.metrics import Tally
from havre.control.patient import patient
from havre.services.applicationautoscaling import Measures, service
from havre.services.applicationautoscaling.scaler import Scaler

WHERE = {
    "ServiceNamespace": "ecs",
    "ResourceId": "service/c/s",
    "ScalableDimension": "ecs:service:DesiredCount",
}
CPU = {"PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}}
REGION = "us-east-1"


class Scene(CloudWatch):
    def __init__(self) -> None:
        self.numbers = Numbers()
        self.numbers.count = 2
        super().__init__(service(), self.numbers.ecs())
        self.scaling = self.running.client("application-autoscaling")
        running = self.running

        def aws_for(account: str, region: str, service: str, source: str = "", trace: str = "") -> Any:
            return patient(running.gateway.as_service(service, account, region, source, trace))

        deps = ReconcilerDeps(running.store, running.journal, running.world, running.gateway.parts.site, aws_for)
        self.scaler = Scaler(deps, Measures(lambda *where: None))
        self.scaling.register_scalable_target(MinCapacity=1, MaxCapacity=10, **WHERE)

    def track(self, target: float = 50.0, name: str = "p", **specification: Any) -> None:
        self.scaling.put_scaling_policy(
            PolicyName=name,
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration={"TargetValue": target, **specification},
            **WHERE,
        )

    def pass_minutes(self, count: int, *cpu: float, memory: float | None = None) -> None:
        """In each of which the service's tasks use so much."""
        for _ in range(count):
            for value in cpu:
                self._use("CPUUtilization", value)
            if memory is not None:
                self._use("MemoryUtilization", memory)
            self.running.offset += 60
            self.running.wait(self.scaler.turn())

    def _use(self, metric: str, value: float) -> None:
        where, at = (("ClusterName", "c"), ("ServiceName", "s")), self.running.world.now()
        tally = Tally(ACCOUNT, REGION, "AWS/ECS", metric, where, "Percent", at, {value: 1.0})
        self.running.loop.call_soon_threadsafe(self.recorder.put, tally)


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.close()


def test_it_makes_more_when_its_tasks_use_too_much(scene: Scene) -> None:
    scene.track(**CPU)
    scene.pass_minutes(3, 60.0, 90.0)
    assert scene.numbers.count == 2, "of the minute in which the process began nothing is known"
    scene.pass_minutes(1, 60.0, 90.0)
    assert scene.numbers.count == 3, "2 × 75 / 50"
    scene.pass_minutes(4, 150.0)
    assert scene.numbers.count == 3, "five minutes pass between, where nothing is said"
    scene.pass_minutes(1, 150.0)
    assert scene.numbers.count == 9
    assert scene.numbers.callers[0].role.endswith("AWSServiceRoleForApplicationAutoScaling_ECSService")


def test_it_makes_less_when_they_use_little(scene: Scene) -> None:
    scene.numbers.count = 8
    scene.track(**CPU, ScaleInCooldown=0)
    scene.pass_minutes(15, 10.0)
    assert scene.numbers.count == 8
    scene.pass_minutes(1, 10.0)
    assert scene.numbers.count == 2


def test_nothing_is_done_while_nothing_is_known(scene: Scene) -> None:
    scene.track(**CPU)
    scene.pass_minutes(3, 90.0)
    scene.pass_minutes(1)
    scene.pass_minutes(2, 90.0)
    assert scene.numbers.count == 2


def test_of_several_policies_the_one_that_wants_most_counts(scene: Scene) -> None:
    memory = {"PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageMemoryUtilization"}}
    scene.numbers.count = 4
    scene.track(**CPU)
    scene.track(name="memory", **memory)
    scene.pass_minutes(16, 10.0, memory=49.0)
    assert scene.numbers.count == 4, "one of them does not want less"
    scene.pass_minutes(3, 10.0, memory=80.0)
    assert scene.numbers.count == 7


def test_a_metric_of_ones_own(scene: Scene) -> None:
    own = {
        "MetricName": "Backlog",
        "Namespace": "App",
        "Dimensions": [{"Name": "Queue", "Value": "q"}],
        "Statistic": "Maximum",
        "Unit": "Count",
    }
    scene.track(10.0, CustomizedMetricSpecification=own, ScaleOutCooldown=0)
    (shown,) = scene.scaling.describe_scaling_policies(ServiceNamespace="ecs")["ScalingPolicies"]
    assert shown["TargetTrackingScalingPolicyConfiguration"] == {
        "TargetValue": 10.0,
        "CustomizedMetricSpecification": own,
        "ScaleOutCooldown": 0,
        "DisableScaleIn": False,
    }
    for _ in range(4):
        put = {"Dimensions": own["Dimensions"], "Unit": "Count", "Timestamp": scene.running.world.now()}
        scene.client.put_metric_data(
            Namespace="App", MetricData=[{"MetricName": "Backlog", "Value": value, **put} for value in (1, 25)]
        )
        scene.pass_minutes(1)
    assert scene.numbers.count == 5, "2 × 25 / 10"


def test_metric_math(scene: Scene) -> None:
    stat = {"Metric": {"MetricName": "Backlog", "Namespace": "App"}, "Stat": "Sum"}
    metrics = [
        {"Id": "b", "MetricStat": stat, "ReturnData": False},
        {"Id": "each", "Expression": "b / 2", "ReturnData": True, "Label": "per task"},
    ]
    scene.track(10.0, CustomizedMetricSpecification={"Metrics": metrics})
    (shown,) = scene.scaling.describe_scaling_policies(ServiceNamespace="ecs")["ScalingPolicies"]
    found = shown["TargetTrackingScalingPolicyConfiguration"]["CustomizedMetricSpecification"]
    assert found == {"Metrics": metrics}
    for _ in range(4):
        at = scene.running.world.now()
        scene.client.put_metric_data(
            Namespace="App", MetricData=[{"MetricName": "Backlog", "Value": 30, "Timestamp": at}]
        )
        scene.pass_minutes(1)
    assert scene.numbers.count == 3, "2 × 15 / 10"


def test_requests_of_each_target(scene: Scene) -> None:
    label = "app/web/0123456789abcdef/targetgroup/tg/fedcba9876543210"
    fixed = {"PredefinedMetricType": "ALBRequestCountPerTarget", "ResourceLabel": label}
    scene.track(100.0, PredefinedMetricSpecification=fixed)
    (shown,) = scene.scaling.describe_scaling_policies(ServiceNamespace="ecs")["ScalingPolicies"]
    assert shown["TargetTrackingScalingPolicyConfiguration"]["PredefinedMetricSpecification"] == fixed
    where = (("LoadBalancer", "app/web/0123456789abcdef"), ("TargetGroup", "targetgroup/tg/fedcba9876543210"))
    for _ in range(4):
        at = scene.running.world.now()
        tally = Tally(ACCOUNT, REGION, "AWS/ApplicationELB", "RequestCountPerTarget", where, "Count", at, {240.0: 1.0})
        scene.running.loop.call_soon_threadsafe(scene.recorder.put, tally)
        scene.pass_minutes(1)
    assert scene.numbers.count == 5, "2 × 240 / 100"


def test_what_cannot_be_followed_is_refused(scene: Scene) -> None:
    def refused(name: str = "bad", **specification: Any) -> str:
        tracking = {"TargetValue": 50.0, **specification}
        return code(
            scene.scaling.put_scaling_policy,
            PolicyName=name,
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=tracking,
            **WHERE,
        )

    def own(**members: Any) -> dict[str, Any]:
        return {"CustomizedMetricSpecification": members}

    whole = {"MetricName": "m", "Namespace": "App", "Statistic": "Sum"}
    invalid = "ValidationException"
    assert refused() == refused(**CPU, **own(**whole)) == invalid
    assert refused(**CPU, TargetValue=0.0) == invalid
    assert refused(**own(MetricName="m", Namespace="App")) == invalid
    stat = {"Metric": {"MetricName": "m", "Namespace": "App"}, "Stat": "Sum"}
    query = {"Id": "a", "MetricStat": stat}
    assert refused(**own(Metrics=[query], MetricName="m")) == invalid
    assert refused(**own(Metrics=[query, {**query, "Id": "b"}])) == invalid
    assert refused(**own(Metrics=[{"Id": "a", "Expression": "nothing * 2"}])) == invalid
    of_lambda = {"PredefinedMetricType": "LambdaProvisionedConcurrencyUtilization"}
    assert refused(PredefinedMetricSpecification=of_lambda) == "NotImplementedException"
    fine = {"PredefinedMetricType": "ECSServiceAverageCPUUtilizationHighResolution"}
    assert refused(PredefinedMetricSpecification=fine) == "NotImplementedException"
    for label in ("", "app/web/0123", "app/web/x/targetgroup/tg/y/z"):
        of_requests = {"PredefinedMetricType": "ALBRequestCountPerTarget", "ResourceLabel": label or "-"}
        assert refused(PredefinedMetricSpecification=of_requests) == invalid
    labelled = {**CPU["PredefinedMetricSpecification"], "ResourceLabel": "app/a/1/targetgroup/b/2"}
    assert refused(PredefinedMetricSpecification=labelled) == invalid
    assert scene.scaling.describe_scaling_policies(ServiceNamespace="ecs")["ScalingPolicies"] == []
