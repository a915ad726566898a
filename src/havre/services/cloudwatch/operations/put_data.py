"""PutMetricData: what is acknowledged is durable, and can be read at once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from havre.control.operation import Answer, Call, Request
from havre.core.metrics.values import encode, summary
from havre.kernel.errors import not_built
from havre.services.cloudwatch import names
from havre.services.cloudwatch.errors import combination, invalid, missing, too_many
from havre.services.cloudwatch.facilities import Declared, Facilities
from havre.store.points import Point, Sample, Series

ops = Declared()
MOST_METRICS, MOST_VALUES = 1000, 150
BACK, AHEAD = 14 * 86_400, 2 * 3600
"""Seconds: how far from now a data point may be."""
_GREATEST = 2.0**360
_RESOLUTIONS = (1, 60)
_EXCLUSIVE = ("Value", "StatisticValues", "Values")


@ops("PutMetricData", conditions=names.conditions, data_event=True)
async def put_metric_data(facilities: Facilities, call: Call, request: Request) -> Answer:
    if request.get("EntityMetricData"):
        raise not_built("cloudwatch", "PutMetricData with EntityMetricData: metrics belong to no entities")
    namespace, data = request["Namespace"], request.get("MetricData") or ()
    if namespace.startswith("AWS/"):
        raise invalid(f"The value {namespace} for parameter Namespace is invalid.")
    if not data:
        raise missing("The parameter MetricData is required.")
    if len(data) > MOST_METRICS:
        raise too_many("MetricData", MOST_METRICS)
    await facilities.points().write([_sample(call, namespace, n, datum) for n, datum in enumerate(data, 1)])
    return None


def _sample(call: Call, namespace: str, number: int, datum: Mapping[str, Any]) -> Sample:
    """Raises ApiError."""
    where = f"MetricData.member.{number}"
    step = datum.get("StorageResolution") or 60
    if step not in _RESOLUTIONS:
        raise invalid(f"The parameter {where}.StorageResolution must be one of 1, 60.")
    at = int(_time(call.now, datum.get("Timestamp"), where)) // step * step
    dimensions = names.dimensions(datum.get("Dimensions"), f"{where}.Dimensions")
    unit = datum.get("Unit") or "None"
    series = Series(call.account, call.region, namespace, datum["MetricName"], dimensions, unit)
    return Sample(series, step, _point(at, datum, where))


def _time(now: float, given: float | None, where: str) -> float:
    if given is None:
        return now
    if given < now - BACK:
        raise invalid(f"The parameter {where}.Timestamp must specify a time no more than two weeks in the past.")
    if given > now + AHEAD:
        raise invalid(f"The parameter {where}.Timestamp must specify a time no more than two hours in the future.")
    return given


def _point(at: int, datum: Mapping[str, Any], where: str) -> Point:
    given = [name for name in _EXCLUSIVE if datum.get(name) is not None]
    if len(given) > 1:
        parameters = f"{where}.{given[0]} and {where}.{given[1]}"
        raise combination(f"The parameters {parameters} are mutually exclusive and you have specified both.")
    if not given:
        raise missing(f"At least one of the parameters must be specified: {where}.Value, {where}.StatisticValues.")
    if datum.get("Counts") is not None and given != ["Values"]:
        raise combination(f"The parameter {where}.Counts needs the parameter {where}.Values.")
    if given == ["StatisticValues"]:
        return _statistics(at, datum["StatisticValues"], f"{where}.StatisticValues")
    values = _values(datum, where) if given == ["Values"] else {_number(datum["Value"], f"{where}.Value"): 1.0}
    return Point(at, *summary(values), encode(values))


def _values(datum: Mapping[str, Any], where: str) -> dict[float, float]:
    values = datum["Values"]
    counts = datum.get("Counts")
    if not values:
        raise invalid(f"The parameter {where}.Values must not be empty.")
    if len(values) > MOST_VALUES:
        raise too_many(f"{where}.Values", MOST_VALUES)
    if counts is not None and len(counts) != len(values):
        raise invalid(f"The parameters {where}.Values and {where}.Counts must be of the same size")
    found: Counter[float] = Counter()
    for number, (value, count) in enumerate(zip(values, counts or [1.0] * len(values), strict=True), 1):
        if not _number(count, f"{where}.Counts.member.{number}") > 0:
            raise invalid(f"The value {count} for parameter {where}.Counts.member.{number} is invalid.")
        found[_number(value, f"{where}.Values.member.{number}")] += count
    return dict(found)


def _statistics(at: int, given: Mapping[str, float], where: str) -> Point:
    """A set of statistics tells its values only where all of them were the same."""
    for name, value in _in_order(given):
        _number(value, f"{where}.{name}")
    count, total, least, most = (value for _, value in _in_order(given))
    if count <= 0:
        raise invalid(f"The value {count} for parameter {where}.SampleCount is invalid.")
    if least > most:
        raise combination(f"The parameter {where}.Maximum must be greater than {where}.Minimum.")
    same = least == most and math.isclose(total, least * count, rel_tol=1e-9)
    return Point(at, count, total, least, most, encode({least: count} if same else None))


def _in_order(given: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    for name in ("SampleCount", "Sum", "Minimum", "Maximum"):
        yield name, float(given[name])


def _number(value: float, where: str) -> float:
    if not math.isfinite(value) or abs(value) > _GREATEST:
        raise invalid(f"The value {'NaN' if math.isnan(value) else value} for parameter {where} is invalid.")
    return float(value)
