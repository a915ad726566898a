"""Which metric of CloudWatch a target tracking policy follows, and what it was of late."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from havre.control.operation import Aws
from havre.core.autoscaling.tracking import IN_AFTER, MINUTE
from havre.kernel.errors import ApiError
from havre.services.applicationautoscaling.errors import absent, invalid
from havre.services.applicationautoscaling.resources import ECS, LAMBDA, Policy, Target

PROVISIONED = "LambdaProvisionedConcurrencyUtilization"
"""Measured without CloudWatch: it is known every moment."""
_OF_SERVICES = {
    "ECSServiceAverageCPUUtilization": "CPUUtilization",
    "ECSServiceAverageMemoryUtilization": "MemoryUtilization",
}
REQUESTS = "ALBRequestCountPerTarget"
_LABEL = re.compile(r"app/[\w-]+/[0-9a-f]+/targetgroup/[\w-]+/[0-9a-f]+")
_ONE = ("MetricName", "Namespace", "Statistic")
ID = "m"


def predefined(given: Mapping[str, Any], target: Target, value: float) -> str:
    """The metric's name, checked. Raises ApiError."""
    metric, label = str(given["PredefinedMetricType"]), given.get("ResourceLabel") or ""
    if metric == REQUESTS and target.dimension == ECS:
        if _LABEL.fullmatch(label) is None:
            raise invalid(f"Invalid resource label for the predefined metric type {metric}: {label!r}.")
        return metric
    if label:
        raise invalid(f"Resource label is not supported for the predefined metric type {metric}.")
    if metric == PROVISIONED and target.dimension == LAMBDA:
        if not 0.1 <= value <= 0.9:
            raise invalid("The target value of LambdaProvisionedConcurrencyUtilization must be between 0.1 and 0.9.")
    elif metric not in _OF_SERVICES or target.dimension != ECS:
        raise absent(f"PredefinedMetricType {metric} of {target.dimension}")
    return metric


def customized(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """CustomizedMetricSpecification, checked as far as it can be without CloudWatch. Raises ApiError."""
    whole = [member for member in _ONE if given.get(member)]
    if given.get("Metrics"):
        if whole or given.get("Dimensions") or given.get("Unit"):
            raise invalid("Metrics can not be specified with MetricName, Namespace, Dimensions, Statistic or Unit.")
        if sum(each.get("ReturnData", True) for each in given["Metrics"]) != 1:
            raise invalid("Exactly one element of the metrics list should return data.")
    elif len(whole) < len(_ONE):
        raise invalid("CustomizedMetricSpecification must have MetricName, Namespace and Statistic, or Metrics.")
    return given


def queries(policy: Policy, target: Target) -> Sequence[Mapping[str, Any]]:
    """MetricDataQueries of which one returns data: a value for each minute."""
    given = policy.customized
    if given is None:
        return [_requests(policy.label) if policy.metric == REQUESTS else _of_service(policy.metric, target)]
    if not given.get("Metrics"):
        metric = {name: given[name] for name in ("Namespace", "MetricName", "Dimensions") if given.get(name)}
        stat = {"Metric": metric, "Period": MINUTE, "Stat": given["Statistic"], **_unit(given)}
        return [{"Id": ID, "MetricStat": stat}]
    return [_query(each) for each in given["Metrics"]]


def _of_service(metric: str, target: Target) -> dict[str, Any]:
    _, cluster, service = target.resource.split("/")
    return _one("AWS/ECS", _OF_SERVICES[metric], "Average", ClusterName=cluster, ServiceName=service)


def _requests(label: str) -> dict[str, Any]:
    balancer, _, group = label.partition("/targetgroup/")
    where = {"LoadBalancer": balancer, "TargetGroup": f"targetgroup/{group}"}
    return _one("AWS/ApplicationELB", "RequestCountPerTarget", "Sum", **where)


def _one(namespace: str, name: str, stat: str, **where: str) -> dict[str, Any]:
    dimensions = [{"Name": dimension, "Value": value} for dimension, value in where.items()]
    metric = {"Namespace": namespace, "MetricName": name, "Dimensions": dimensions}
    return {"Id": ID, "MetricStat": {"Metric": metric, "Period": MINUTE, "Stat": stat}}


def _unit(given: Mapping[str, Any]) -> dict[str, Any]:
    return {"Unit": given["Unit"]} if given.get("Unit") else {}


def _query(each: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: each[name] for name in ("Id", "Label", "ReturnData", "Expression") if each.get(name) is not None}
    stat = each.get("MetricStat")
    if stat is None:
        return {**shown, "Period": MINUTE}
    return {**shown, "MetricStat": {"Metric": stat["Metric"], "Period": MINUTE, "Stat": stat["Stat"], **_unit(stat)}}


async def minutes(aws: Aws, wanted: Sequence[Mapping[str, Any]], now: float) -> dict[int, float]:
    """Minute (since the epoch) → value, of whole minutes. Raises ApiError, Temporary."""
    this = int(now // MINUTE)
    begin, end = (this - IN_AFTER) * MINUTE, this * MINUTE
    request = {"MetricDataQueries": wanted, "StartTime": float(begin), "EndTime": float(end)}
    found = (await aws("cloudwatch", "GetMetricData", request))["MetricDataResults"]
    if len(found) != 1:  # a SEARCH may find several, or nothing
        return {}
    return {int(at // MINUTE): value for at, value in zip(found[0]["Timestamps"], found[0]["Values"], strict=True)}


async def check(aws: Aws, policy: Policy, target: Target, now: float) -> None:
    """That CloudWatch understands it. Raises ApiError ValidationException, Temporary."""
    try:
        await minutes(aws, queries(policy, target), now)
    except ApiError as refusal:
        raise invalid(refusal.message) from refusal
