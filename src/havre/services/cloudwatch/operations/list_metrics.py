"""ListMetrics: what had data points within the last two weeks, or three hours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from havre.control.operation import Answer, Call, Request
from havre.kernel.errors import not_built
from havre.services.cloudwatch import names
from havre.services.cloudwatch.facilities import Declared, Facilities
from havre.services.cloudwatch.names import Dimensions
from havre.services.cloudwatch.paging import LISTS, METRICS_PAGE

ops = Declared()
LISTED, RECENTLY = 14 * 86_400, 3 * 3600
"""Seconds for which a metric is listed after its last data point; and for which it is recently active."""
Metric = tuple[str, str, Dimensions]


@ops("ListMetrics")
async def list_metrics(facilities: Facilities, call: Call, request: Request) -> Answer:
    if request.get("IncludeLinkedAccounts") or request.get("OwningAccount", call.account) != call.account:
        raise not_built("cloudwatch", "ListMetrics of linked accounts: there are none")
    await facilities.flush()
    since = int(call.now) - (RECENTLY if "RecentlyActive" in request else LISTED)
    where = (call.account, call.region, request.get("Namespace", ""), request.get("MetricName", ""))
    found = {known.series[2:5] for known in facilities.points().series(*where, since=since)}
    wanted = request.get("Dimensions") or ()
    listed = sorted((metric for metric in found if _fits(metric[2], wanted)), key=_key)
    page, token = LISTS.page(call, request, listed, _key, METRICS_PAGE)
    return {"Metrics": [_shown(metric) for metric in page], "NextToken": token}


def _key(metric: Metric) -> str:
    return "\0".join((*metric[:2], *(part for pair in metric[2] for part in pair)))


def _fits(dimensions: Dimensions, wanted: Sequence[Mapping[str, Any]]) -> bool:
    """Each of the filters has to hold: a name, or a name with its value."""
    has = dict(dimensions)
    return all(each["Name"] in has and each.get("Value", has[each["Name"]]) == has[each["Name"]] for each in wanted)


def _shown(metric: Metric) -> dict[str, Any]:
    namespace, name, dimensions = metric
    return {"Namespace": namespace, "MetricName": name, "Dimensions": names.shown(dimensions)}
