"""Step scaling: what alarms say that name a policy among their actions.

Nobody carries an alarm's action here: as long as an alarm is in a state whose actions name the policy, it is followed, at
once and then every minute, as on AWS.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from havre.control.deps import ReconcilerDeps
from havre.control.operation import Aws
from havre.core.autoscaling import steps
from havre.core.autoscaling.tracking import MINUTE
from havre.services.applicationautoscaling import scalable
from havre.services.applicationautoscaling.resources import PolicyR, TargetR

_ACTIONS = {"ALARM": "AlarmActions", "OK": "OKActions", "INSUFFICIENT_DATA": "InsufficientDataActions"}
_OF_METRIC = ("Namespace", "MetricName", "Dimensions")


async def alarms(aws: Aws, policy: str) -> Sequence[Mapping[str, Any]]:
    """Those that name it among their actions. Raises ApiError, Temporary."""
    found = (await aws("cloudwatch", "DescribeAlarms", {"ActionPrefix": policy}))["MetricAlarms"]
    return [each for each in found if any(policy in each[actions] for actions in _ACTIONS.values())]


class Stepper:
    def __init__(self, deps: ReconcilerDeps) -> None:
        self._deps = deps
        self._acted: dict[tuple[str, str, str], float] = {}
        """Policy, alarm and its state → when it was followed last."""
        self._scaled: dict[str, tuple[float, int]] = {}
        """Policy → when it changed capacity last, and what that was before."""

    async def wanted(self, target: TargetR, policy: PolicyR, capacity: int) -> int:
        """What alarms want now, ``capacity`` where they want nothing. Raises ApiError, Temporary."""
        m, now, want = target.meta, self._deps.world.now(), capacity
        aws = self._deps.aws_for(m.account, m.region, scalable.PRINCIPALS[target.spec.dimension])
        for alarm in await alarms(aws, policy.meta.arn):
            state = alarm["StateValue"]
            key = (policy.meta.arn, alarm["AlarmArn"], state)
            if not alarm["ActionsEnabled"] or policy.meta.arn not in alarm[_ACTIONS[state]]:
                continue
            if now - self._acted.get(key, -MINUTE) < MINUTE:
                continue
            self._acted[key] = now
            distance = await _distance(aws, alarm, now)
            if distance is not None:
                want = target.spec.bounds.hold(self._step(policy, capacity, distance))
        return want

    def _step(self, policy: PolicyR, capacity: int, distance: float) -> int:
        """While it cools down, more is what is more than it was before and what came since; and less is nothing."""
        stepping = policy.spec.stepping
        assert stepping is not None
        at, before = self._scaled.get(policy.meta.arn, (0.0, capacity))
        if self._deps.world.now() - at >= stepping.cooldown:
            return steps.wanted(stepping, capacity, distance)
        return max(capacity, steps.wanted(stepping, before, distance))

    def scaled(self, policy: PolicyR, before: int) -> None:
        self._scaled[policy.meta.arn] = (self._deps.world.now(), before)

    def keep_only(self, policies: set[str]) -> None:
        self._acted = {key: at for key, at in self._acted.items() if key[0] in policies}
        self._scaled = {arn: seen for arn, seen in self._scaled.items() if arn in policies}


async def _distance(aws: Aws, alarm: Mapping[str, Any], now: float) -> float | None:
    """Of the metric from the alarm's threshold; None where nothing is known of it. What the alarm has said stands in for
    data that are missing now."""
    values = await _values(aws, alarm, now)
    if not values:
        told = json.loads(alarm.get("StateReasonData") or "{}")
        values = [value for value in told.get("recentDatapoints") or () if value is not None][-1:]
    return values[-1] - alarm["Threshold"] if values else None


async def _values(aws: Aws, alarm: Mapping[str, Any], now: float) -> list[float]:
    """Of the periods that the alarm looks at, as they are now."""
    period = alarm.get("Period") or MINUTE
    queries = alarm.get("Metrics")
    if not queries:
        metric = {name: alarm[name] for name in _OF_METRIC if alarm.get(name)}
        stat = {"Metric": metric, "Period": period, "Stat": alarm.get("Statistic") or alarm["ExtendedStatistic"]}
        queries = [{"Id": "m", "MetricStat": stat | ({"Unit": alarm["Unit"]} if alarm.get("Unit") else {})}]
    end = now // MINUTE * MINUTE
    begin = end - period * alarm["EvaluationPeriods"]
    request = {"MetricDataQueries": queries, "StartTime": begin, "EndTime": end, "ScanBy": "TimestampAscending"}
    found = (await aws("cloudwatch", "GetMetricData", request))["MetricDataResults"]
    return list(found[0]["Values"]) if len(found) == 1 else []
