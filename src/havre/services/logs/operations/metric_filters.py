"""Metric filters: which of a group's events count for a metric."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from havre.control.operation import Answer, Call, Operations, Request
from havre.core.log_filter import FilterPatternError
from havre.core.log_metrics import TransformationError
from havre.kernel.errors import ApiError, not_built
from havre.kernel.resource import scoped
from havre.services.logs import names, queries
from havre.services.logs.errors import invalid
from havre.services.logs.metric_filters import STANDARD, transformation
from havre.services.logs.operations.filters import forget, keep
from havre.services.logs.paging import page
from havre.services.logs.present import milliseconds
from havre.services.logs.resources import METRIC_FILTER, MetricFilter, MetricFilterR
from havre.store.ports import Transaction

ops = Operations()
MOST = 100
"""Filters of one group."""
_NOT_BUILT = ("applyOnTransformedLogs", "fieldSelectionCriteria", "emitSystemFieldDimensions")


@ops("PutMetricFilter", resources=names.of_group, conditions=names.conditions)
async def put_metric_filter(call: Call, request: Request) -> Answer:
    wanted = _wanted(request)

    def change(tx: Transaction) -> None:
        group = queries.group(call, wanted.group, tx)
        if group.spec.group_class != STANDARD:
            raise ApiError(
                "InvalidOperationException",
                f"Metric filters are not supported for log groups of the class {group.spec.group_class}.",
            )
        keep(tx, METRIC_FILTER, group, wanted, MOST)

    await call.store.transact(change)
    return None


def _wanted(request: Request) -> MetricFilter:
    """Raises ApiError."""
    for member in _NOT_BUILT:
        if request.get(member):
            raise not_built("logs", f"PutMetricFilter {member}")
    told = request["metricTransformations"][0]
    for member in ("metricName", "metricNamespace"):
        if not told[member].strip():
            raise invalid(f"Invalid metric transformation: {member} must not be empty")
    if told["metricNamespace"].startswith("AWS/"):
        raise invalid("Invalid metric transformation: metricNamespace must not begin with AWS/")
    default = told.get("defaultValue")
    made = MetricFilter(
        request["logGroupName"],
        request["filterName"],
        request["filterPattern"],
        told["metricName"],
        told["metricNamespace"],
        told["metricValue"],
        None if default is None else float(default),
        tuple((told.get("dimensions") or {}).items()),
        told.get("unit") or "None",
    )
    for name, _ in made.dimensions:
        if not name.strip() or not name.isascii() or name.startswith(":"):
            raise invalid("Invalid metric transformation: dimension name must be valid")
    try:
        transformation(made)
    except (FilterPatternError, TransformationError) as error:
        raise invalid(str(error)) from None
    return made


@ops("DescribeMetricFilters", resources=names.of_group, conditions=names.conditions)
async def describe_metric_filters(call: Call, request: Request) -> Answer:
    found = [each for each in _of_group(call, request) if _asked_for(request, each.spec)]
    found.sort(key=_key)
    shown, token = page(call, request, found, _key)
    return {"metricFilters": [_shown(each) for each in shown], "nextToken": token}


def _of_group(call: Call, request: Request) -> Sequence[MetricFilterR]:
    name = request.get("logGroupName")
    if not name:
        return call.store.list(METRIC_FILTER, call.account, call.region)
    queries.group(call, name)
    return call.store.find(METRIC_FILTER, "group", scoped(call.account, call.region, name))


def _asked_for(request: Request, spec: MetricFilter) -> bool:
    metric, namespace = request.get("metricName"), request.get("metricNamespace")
    if (metric is None) != (namespace is None):
        raise invalid("metricName and metricNamespace must be given together.")
    prefix = request.get("filterNamePrefix", "") if request.get("logGroupName") else ""
    return spec.name.startswith(prefix) and metric in (None, spec.metric) and namespace in (None, spec.namespace)


def _key(each: MetricFilterR) -> list[str]:
    return [each.spec.name, each.spec.group]


def _shown(each: MetricFilterR) -> dict[str, Any]:
    spec = each.spec
    told: dict[str, Any] = {
        "metricName": spec.metric,
        "metricNamespace": spec.namespace,
        "metricValue": spec.value,
        "defaultValue": spec.default,
        "dimensions": dict(spec.dimensions) or None,
        "unit": spec.unit,
    }
    return {
        "filterName": spec.name,
        "filterPattern": spec.pattern,
        "metricTransformations": [told],
        "creationTime": milliseconds(each.meta.created),
        "logGroupName": spec.group,
        "applyOnTransformedLogs": False,
    }


@ops("DeleteMetricFilter", resources=names.of_group, conditions=names.conditions)
async def delete_metric_filter(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        group = queries.group(call, request["logGroupName"], tx)
        forget(tx, METRIC_FILTER, group, request["filterName"], "metric")

    await call.store.transact(change)
    return None
