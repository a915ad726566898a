"""GetMetricStatistics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from havre.control.operation import Answer, Call, Request
from havre.core.metrics.statistics import SIMPLE, Summary, needs_values, statistic
from havre.services.cloudwatch import names, reading
from havre.services.cloudwatch.errors import combination, invalid, missing
from havre.services.cloudwatch.facilities import Declared, Facilities

ops = Declared()
MOST_POINTS = 1440


@ops("GetMetricStatistics")
async def get_metric_statistics(facilities: Facilities, call: Call, request: Request) -> Answer:
    period = request["Period"]
    start, end = _span(call, request)
    wanted = (*(request.get("Statistics") or ()), *(request.get("ExtendedStatistics") or ()))
    dimensions = names.dimensions(request.get("Dimensions"))
    await facilities.flush()
    points = facilities.points()
    found = reading.by_unit(points, call.account, call.region, request["Namespace"], request["MetricName"], dimensions)
    values = any(needs_values(name) for name in wanted)
    shown = []
    for unit, id in found.items():
        if unit != request.get("Unit", unit):
            continue
        told = reading.periods(points, [id], start, end, period, values)
        shown += [(at, {"Timestamp": float(at), "Unit": unit, **_told(summary, wanted)}) for at, summary in told]
    shown.sort(key=lambda pair: pair[0])
    return {"Label": request["MetricName"], "Datapoints": [datapoint for _, datapoint in shown]}


def _told(summary: Summary, wanted: tuple[str, ...]) -> Mapping[str, Any]:
    computed = {name: compute(summary) for name in wanted if (compute := statistic(name)) is not None}
    plain = {name: value for name, value in computed.items() if name in SIMPLE}
    extended = {name: value for name, value in computed.items() if name not in SIMPLE and value is not None}
    return {**plain, "ExtendedStatistics": extended or None}


def _span(call: Call, request: Request) -> tuple[int, int]:
    """The times that are asked for. Raises ApiError for what CloudWatch refuses."""
    plain, extended = request.get("Statistics"), request.get("ExtendedStatistics")
    if not plain and not extended:
        raise missing("Must specify either Statistics or ExtendedStatistics")
    for name in extended or ():
        if name in SIMPLE or statistic(name) is None:
            raise invalid(f"The value {name} for parameter ExtendedStatistics is not supported.")
    period, begin, until = request["Period"], request["StartTime"], request["EndTime"]
    if not reading.is_period(period):
        raise invalid("The parameter Period must be 1, 5, 10, 20, 30, or a multiple of 60.")
    if begin >= until:
        raise combination("The parameter StartTime must be less than the parameter EndTime.")
    asked = int(-(-(until - begin) // period))
    if asked > MOST_POINTS:
        raise combination(
            f"You have requested up to {asked} datapoints, which exceeds the limit of {MOST_POINTS}. "
            "You may reduce the datapoints requested by increasing Period, or decreasing the time range."
        )
    return reading.rounded(begin, period, call.now), int(-(-until // 1))
