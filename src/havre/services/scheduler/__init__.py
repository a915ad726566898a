"""EventBridge Scheduler: schedules that invoke a target by a role, once or again and again, in any time zone.

The promise: a time of a schedule is neither missed nor taken twice over a restart; the target is invoked at least once for
it. What the target refuses is tried again as its RetryPolicy says, and then goes to its dead-letter queue.

Left out, and refused by name: templated targets of CodeBuild, CodePipeline, Firehose, Inspector, SageMaker and Step
Functions, and KMS keys. Universal targets (``aws-sdk``) reach every operation that Havre has.
"""

from __future__ import annotations

from typing import Any

from havre.control.deps import ReconcilerDeps
from havre.control.operation import Service, merge
from havre.control.reconciler import Reconciler

__all__ = ["reconcilers", "service"]

PARTIAL = {
    "DeleteScheduleGroup": "a group and its schedules are gone at once; it is never DELETING",
    "CreateSchedule.ActionAfterCompletion": "DELETE takes effect once the last invocation is on its way",
}


def service() -> Service:
    from havre.services.scheduler.operations import groups, schedules
    from havre.services.scheduler.resources import KINDS

    return Service("scheduler", merge(groups.ops, schedules.ops), KINDS, partial=PARTIAL)


def reconcilers(deps: ReconcilerDeps) -> list[Reconciler[Any]]:
    from havre.control.deliveries import Deliveries
    from havre.services.scheduler.courier import Courier
    from havre.services.scheduler.resources import DELIVERY
    from havre.services.scheduler.timer import Timer

    return [Timer(deps), Deliveries(DELIVERY, Courier(deps), deps)]
