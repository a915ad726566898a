"""GetMetricData."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from havre.control.operation import Answer, Call, Request
from havre.core.metrics.formulas.series import Line
from havre.kernel.errors import not_built
from havre.services.cloudwatch import labels, metric_queries
from havre.services.cloudwatch.errors import validation
from havre.services.cloudwatch.facilities import Declared, Facilities
from havre.services.cloudwatch.metric_queries import Computing, Query
from havre.services.cloudwatch.paging import DATA

ops = Declared()
MOST_POINTS = 100_800
"""Data points of one answer."""


class Result(NamedTuple):
    query: Query
    label: str
    points: Sequence[tuple[int, float]]


@ops("GetMetricData", data_event=True)
async def get_metric_data(facilities: Facilities, call: Call, request: Request) -> Answer:
    begin, end, most = request["StartTime"], request["EndTime"], request.get("MaxDatapoints", MOST_POINTS)
    if begin >= end:
        raise validation("The parameter StartTime must be less than the parameter EndTime.")
    if not 1 <= most <= MOST_POINTS:
        raise validation(f"The parameter MaxDatapoints must be between 1 and {MOST_POINTS}.")
    if request.get("LabelOptions", {}).get("Timezone", "+0000") != "+0000":
        raise not_built("cloudwatch", "GetMetricData with a Timezone in LabelOptions: labels tell no times")
    queries = metric_queries.read(request["MetricDataQueries"], "MetricDataQueries", call.account)
    if not any(query.returned for query in queries):
        raise validation("At least one of the MetricDataQueries must have ReturnData true.")
    await facilities.flush()
    where = (call.account, call.region)
    computing = Computing(facilities.points(), *where, queries, begin, math.ceil(end), call.now)
    await computing.compute()
    newest_first = request.get("ScanBy", "TimestampDescending") == "TimestampDescending"
    results = _results(computing, queries, where, newest_first)
    index, offset = DATA.read(call, request) or (0, 0)
    shown, place = _page(results, index, offset, most)
    told = [{**each, "Messages": computing.messages.get(each["Id"])} for each in shown]
    token = DATA.write(call, request, place) if place is not None else None
    return {"MetricDataResults": told, "Messages": [], "NextToken": token}


def _results(
    computing: Computing, queries: Sequence[Query], where: tuple[str, str], newest_first: bool
) -> Sequence[Result]:
    """Expressions that are several series give several results of the same id."""
    own = labels.plain(queries)
    found = []
    for query in queries:
        if not query.returned:
            continue
        lines = computing.lines(query)
        for line in lines:
            plain = line.label if computing.is_array(query) and line.label else own[query.id]
            label = plain if query.label is None else labels.dynamic(query.label, query, line, plain, where)
            found.append(Result(query, label, _ordered(line, newest_first)))
    return found


def _ordered(line: Line, newest_first: bool) -> Sequence[tuple[int, float]]:
    points = [(at, value) for at, value in line.points.items() if math.isfinite(value)]
    return points[::-1] if newest_first else points


def _page(
    results: Sequence[Result], index: int, offset: int, most: int
) -> tuple[list[dict[str, Any]], tuple[int, int] | None]:
    """Results from a place on, with at most so many points; and the place of the next page, None behind the last."""
    shown: list[dict[str, Any]] = []
    for number, result in enumerate(results[index:], index):
        if most <= 0 and len(result.points) > offset:
            return shown, (number, offset)
        points = result.points[offset : offset + most]
        most -= len(points)
        complete = offset + len(points) >= len(result.points)
        shown.append(
            {
                "Id": result.query.id,
                "Label": result.label,
                "Timestamps": [float(at) for at, _ in points],
                "Values": [value for _, value in points],
                "StatusCode": "Complete" if complete else "PartialData",
            }
        )
        if not complete:
            return shown, (number, offset + len(points))
        offset = 0
    return shown, None
