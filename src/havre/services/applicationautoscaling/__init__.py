"""Application Auto Scaling: provisioned concurrency of Lambda and ECS services follow metrics, and schedules.

The promise: capacity stays within its target's bounds; what a schedule says comes to be once its time has come, also when
nobody ran at that time.

Left out, and refused by name: predictive scaling; metrics of services every 20 seconds; other namespaces than
lambda and ecs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from havre.control.deps import ReconcilerDeps
from havre.control.lazily import lazily
from havre.control.operation import Service, merge
from havre.control.supervisor import Loop

if TYPE_CHECKING:
    from havre.services.applicationautoscaling.measures import Measures

__all__ = ["Measures", "loops", "service"]
__getattr__ = lazily(__name__, {"Measures": "measures"})

PARTIAL = {
    "RegisterScalableTarget.RoleARN": "is not kept: the service-linked role acts, as AWS has it for these namespaces",
    "PutScalingPolicy": "target tracking has no alarms to show: metrics are looked at directly",
    "StepScalingPolicyConfiguration.MetricAggregationType": "is kept and shown: an alarm's own statistic counts",
}


def service() -> Service:
    from havre.services.applicationautoscaling.operations import policies, schedules, tags, targets
    from havre.services.applicationautoscaling.resources import KINDS

    ops = merge(targets.ops, policies.ops, schedules.ops, tags.ops)
    return Service("application-autoscaling", ops, KINDS, partial=PARTIAL)


def loops(deps: ReconcilerDeps, measures: Measures) -> list[Loop]:
    from havre.services.applicationautoscaling.scaler import Scaler

    scaler = Scaler(deps, measures)
    return [Loop("auto scaling", scaler.run, progress=lambda: scaler.progress)]
