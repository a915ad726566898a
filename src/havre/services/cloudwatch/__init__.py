"""CloudWatch: metrics, alarms, dashboards.

The promise: a data point that was acknowledged is on disk, and is read at once. Points keep AWS's resolutions: seconds for
three hours, minutes for 15 days, five minutes for 63, hours for 455. Percentiles are exact for up to a hundred different
values in a data point, and off by one per cent at most beyond.

An alarm's change of state and what it is to do are written down together: each action is carried at least once, though the
process be killed.

Left out, and refused by name: anomaly detection, Contributor Insights, metric streams, Metrics Insights (SELECT), linked
accounts, entities of metrics; alarm actions other than topics, functions and step scaling policies of ECS services.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from havre.control.deps import ReconcilerDeps
from havre.control.lazily import lazily
from havre.control.operation import Service, merge
from havre.control.reconciler import Reconciler
from havre.control.supervisor import Loop

if TYPE_CHECKING:
    from havre.services.cloudwatch.facilities import Facilities

__all__ = ["Facilities", "loops", "reconcilers", "service"]
__getattr__ = lazily(__name__, {"Facilities": "facilities"})

PARTIAL = {
    "PutMetricData.EntityMetricData": "is refused: metrics belong to no entities",
    "ListMetrics.IncludeLinkedAccounts": "is refused: there are no linked accounts",
    "GetMetricData.AccountId": "is refused, unless it is the caller's own: there are no linked accounts",
    "GetMetricData.Expression": "Metrics Insights (SELECT), and functions for anomalies, quotas and databases, are refused",
    "PutMetricAlarm.AlarmActions": "topics (no FIFO ones), functions, step scaling of ECS services; others are refused",
    "PutMetricAlarm.EvaluationWindow": "WallClockWindow knows no weeks, and no time zones but UTC and offsets from it",
    "PutMetricAlarm.EvaluationCriteria": "is refused: there are no alarms on PromQL",
    "PutMetricAlarm.WarmUpConfiguration": "is refused",
}


def service(facilities: Facilities | None = None) -> Service:
    """``facilities`` keep the data points. Without them its operations can be listed (``havre coverage``), not called."""
    from havre.services.cloudwatch.operations import (
        absent,
        alarm_reads,
        alarms,
        dashboards,
        list_metrics,
        metric_data,
        put_data,
        statistics,
        tags,
    )
    from havre.services.cloudwatch.resources import KINDS

    measuring = (put_data, list_metrics, statistics, metric_data)
    ops = [module.ops.of(cast("Facilities", facilities)) for module in measuring]
    ops += [absent.ops, alarms.ops, alarm_reads.ops, dashboards.ops, tags.ops]
    return Service("cloudwatch", merge(*ops), KINDS, partial=PARTIAL, tags=tags.tags_of)


def reconcilers(deps: ReconcilerDeps, facilities: Facilities) -> list[Reconciler[Any]]:
    from havre.control.deliveries import Deliveries
    from havre.services.cloudwatch.actions import Courier
    from havre.services.cloudwatch.reconcile.retention import Retention
    from havre.services.cloudwatch.resources import ACTION

    return [Retention(deps, facilities), Deliveries(ACTION, Courier(deps), deps)]


def loops(deps: ReconcilerDeps, facilities: Facilities) -> list[Loop]:
    from havre.services.cloudwatch.waiting import Alarms

    alarms = Alarms(deps, facilities)
    return [Loop("alarms", alarms.run, essential=False, progress=lambda: alarms.progress)]
