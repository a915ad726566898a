"""Queries of GetMetricData and of alarms on metric math: read, checked, computed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from havre.core.metrics.formulas import evaluate as formulas
from havre.core.metrics.formulas.functions import Span
from havre.core.metrics.formulas.series import Line, Many, Value
from havre.core.metrics.formulas.syntax import FormulaError, Node, functions, names, parse
from havre.core.metrics.statistics import statistic
from havre.kernel.errors import ApiError, not_built
from havre.services.cloudwatch import reading
from havre.services.cloudwatch.errors import too_many, validation
from havre.services.cloudwatch.names import Dimensions, dimensions
from havre.services.cloudwatch.searching import matcher
from havre.store.points import Points, Series

MOST_QUERIES, MOST_FOUND = 500, 100
"""Queries of a request; metrics that one SEARCH may find."""
_WORDS = {"FILL": ("REPEAT", "LINEAR"), "SORT": ("AVG", "MAX", "MIN", "SUM", "ASC", "DESC")}
"""What functions take as words that are no ids."""
_ID = re.compile(r"[a-z][a-zA-Z0-9_]*")


class Query(msgspec.Struct, frozen=True):
    """One metric with a statistic, or an ``expression``. ``period`` is 0 where an expression was given none; ``unit`` ""
    where any will do."""

    id: str
    namespace: str = ""
    metric: str = ""
    dimensions: Dimensions = ()
    period: int = 0
    stat: str = ""
    unit: str = ""
    expression: str = ""
    label: str | None = None
    returned: bool = True


def read(given: Sequence[Mapping[str, Any]], where: str, account: str) -> list[Query]:
    """Raises ApiError. ``where`` is the member that has them."""
    if len(given) > MOST_QUERIES:
        raise too_many(where, MOST_QUERIES)
    found = [_read(each, f"{where}.member.{number}", account) for number, each in enumerate(given, 1)]
    ids = {query.id for query in found}
    if len(ids) < len(found):
        raise validation(f"The values for parameter id in {where} are not unique.")
    in_order(found)
    return found


def in_order(queries: Sequence[Query]) -> list[Query]:
    """Each behind those that it refers to, so that computing one recurses into none. Raises ApiError."""
    by_id = {query.id: query for query in queries}
    metrics = [query.id for query in queries if not query.expression]
    waits: dict[str, set[str]] = {query.id: set(_asked(query, metrics)) for query in queries}
    for id, asked in waits.items():
        for name in asked - by_id.keys():
            raise validation(f"Error in expression '{id}': Unknown identifier: '{name}'")
    found: list[Query] = []
    while waits:
        free = [id for id, asked in waits.items() if not asked]
        if not free:
            raise validation(f"Error in expression '{next(iter(waits))}': The expression refers to itself")
        found += [by_id[id] for id in free]
        waits = {id: asked.difference(free) for id, asked in waits.items() if asked}
    return found


def _read(each: Mapping[str, Any], where: str, account: str) -> Query:
    id, stat, expression = each["Id"], each.get("MetricStat"), each.get("Expression")
    if not _ID.fullmatch(id):
        raise validation(
            f"The value {id} for parameter {where}.Id is not matching the expected pattern [a-z][a-zA-Z0-9_]*."
        )
    if each.get("AccountId", account) != account:
        raise not_built("cloudwatch", "metrics of linked accounts: there are none")
    if (stat is None) == (expression is None):
        raise validation(f"The parameter {where} must have either MetricStat or Expression, and not both.")
    label, returned, period = each.get("Label"), each.get("ReturnData", True), each.get("Period", 0)
    if period and not reading.is_period(period):
        raise validation(f"Period must be 1, 5, 10, 20, 30 or a multiple of 60: {where}.Period")
    if stat is None:
        return Query(id, expression=expression or "", label=label, returned=returned, period=period)
    if not reading.is_period(stat["Period"]):
        raise validation(f"Period must be 1, 5, 10, 20, 30 or a multiple of 60: {where}.MetricStat.Period")
    if statistic(stat["Stat"]) is None:
        raise validation(f"The value {stat['Stat']} for parameter {where}.MetricStat.Stat is not supported.")
    metric = stat["Metric"]
    if "Namespace" not in metric or "MetricName" not in metric:
        raise validation(f"The parameters Namespace and MetricName of {where}.MetricStat.Metric are required.")
    pairs = dimensions(metric.get("Dimensions"), f"{where}.MetricStat.Metric.Dimensions")
    named = (id, metric["Namespace"], metric["MetricName"], pairs)
    return Query(*named, stat["Period"], stat["Stat"], stat.get("Unit", ""), label=label, returned=returned)


def _asked(query: Query, metrics: Sequence[str]) -> list[str]:
    """The ids that an expression refers to."""
    if not query.expression:
        return []
    node = _parsed(query)
    used = set(functions(node))
    words = [word for name, own in _WORDS.items() if name in used for word in own]
    asked = [name for name in names(node) if name.upper() not in words]
    return [*asked, *metrics] if "METRICS" in used else asked


def _parsed(query: Query) -> Node:
    """Raises ApiError."""
    try:
        return _tree(query.expression)
    except FormulaError as wrong:
        raise _wrong(query, wrong) from None


def _wrong(query: Query, why: FormulaError) -> ApiError:
    return validation(f"Error in expression '{query.id}': {why}")


@lru_cache(maxsize=512)
def _tree(expression: str) -> Node:
    node = parse(expression)
    formulas.check(node)
    return node


def longest(queries: Sequence[Query]) -> int:
    """The longest of their periods, in seconds; a minute where none has any."""
    return max((query.period for query in queries if query.period), default=reading.MINUTE)


class Computing:
    """The values of queries over one span of time, each computed once. Ask for them after ``compute``."""

    def __init__(
        self, points: Points, account: str, region: str, queries: Sequence[Query], begin: float, end: int, now: float
    ) -> None:
        self._points = points
        self._where = (account, region)
        self._queries = {query.id: query for query in in_order(queries)}
        self._metrics = [query.id for query in queries if not query.expression]
        self._begin, self._end, self._now = begin, end, now
        self._known: dict[str, Value] = {}
        self._periods: dict[str, int] = {}
        self._budget = reading.Budget()
        self.counts: dict[str, Mapping[int, float]] = {}
        """Id of a metric's query → how many values each of its points was made of."""
        self.messages: dict[str, list[dict[str, str]]] = {}

    async def compute(self) -> None:
        """All of them; others get their turn in between. Raises ApiError."""
        for each in self._queries.values():
            self._known[each.id] = self._told(each)
            await asyncio.sleep(0)

    def is_array(self, query: Query) -> bool:
        """Whether it makes several series, each with a name of its own."""
        return isinstance(self._known[query.id], Many)

    def lines(self, query: Query) -> Sequence[Line]:
        """Of what has been computed. Raises ApiError."""
        try:
            return formulas.lines(self._known[query.id])
        except FormulaError as wrong:
            raise _wrong(query, wrong) from None

    def _told(self, query: Query) -> Value:
        self._periods[query.id] = self._period(query)
        if not query.expression:
            return self._metric(query)
        try:
            return self._computed(query)
        except FormulaError as wrong:
            raise _wrong(query, wrong) from None

    def _period(self, query: Query) -> int:
        """Seconds: of an expression without one, the longest of those that it is made of."""
        if query.period:
            return query.period
        asked = [self._periods[id] for id in _asked(query, self._metrics)]
        return max(asked, default=reading.MINUTE)

    def _computed(self, query: Query) -> Value:
        period = self._periods[query.id]
        span = Span(reading.rounded(self._begin, period, self._now), self._end)
        around = formulas.Around(self._known.__getitem__, self._metrics, span, period, self._search)
        return formulas.evaluate(_parsed(query), around)

    def _metric(self, query: Query) -> Line:
        where = (*self._where, query.namespace, query.metric, query.dimensions)
        units = reading.by_unit(self._points, *where)
        found = {unit: id for unit, id in units.items() if unit == (query.unit or unit)}
        start = reading.rounded(self._begin, query.period, self._now)
        told: Mapping[int, tuple[float, float]] = {}
        having = []
        for unit, id in found.items():
            points = reading.measure(self._points, id, (start, self._end, query.period), query.stat, self._budget)
            told = told or points
            having += [unit] if points else []
        if len(having) > 1:
            message = f"Multiple units returned: '[{', '.join(having)}]'"
            self.messages[query.id] = [{"Code": "MultipleUnits", "Value": message}]
        self.counts[query.id] = {at: count for at, (_, count) in told.items()}
        return Line({at: value for at, (value, _) in told.items()}, query.period, query.metric)

    def _search(self, text: str, stat: str, period: int) -> Sequence[Line]:
        if statistic(stat) is None:
            raise FormulaError(f"The statistic {stat} of SEARCH is not supported")
        fits = matcher(text)
        since = int(self._now) - 14 * reading.DAY
        known = [each for each in self._points.series(*self._where, since=since) if fits(each.series)]
        start, found = reading.rounded(self._begin, period, self._now), []
        label = _told_apart([each.series for each in known[:MOST_FOUND]])
        for each in known[:MOST_FOUND]:
            told = reading.measure(self._points, each.id, (start, self._end, period), stat, self._budget)
            found.append(Line({at: value for at, (value, _) in told.items()}, period, label(each.series)))
        return found


def _told_apart(found: Sequence[Series]) -> Callable[[Series], str]:
    """How a metric that SEARCH has found is called: by what tells it from the others."""
    several = len({series.metric for series in found}) > 1
    values = {pair for series in found for pair in series.dimensions}
    common = {pair for pair in values if all(pair in series.dimensions for series in found)}

    def tell(series: Series) -> str:
        own = [value for pair in series.dimensions if pair not in common for value in pair[1:]]
        return " ".join([*own, series.metric] if several or not own else own)

    return tell
