"""Labels of GetMetricData's results: AWS's own, and those with ``${…}`` in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from havre.core.metrics.formulas.series import Line
from havre.services.cloudwatch.metric_queries import Query

_DYNAMIC = re.compile(r"\$\{(?:PROP\('([^']+)'\)|([A-Z]+))\}")
_OF_VALUES: Mapping[str, Callable[[Sequence[float]], float]] = {
    "AVG": lambda values: sum(values) / len(values),
    "FIRST": lambda values: values[0],
    "LAST": lambda values: values[-1],
    "MAX": max,
    "MIN": min,
    "SUM": sum,
}


def plain(queries: Sequence[Query]) -> Mapping[str, str]:
    """Id → the label of a query that was given none: what tells it from the others."""
    metrics = [query for query in queries if query.metric]
    several = {
        "dimensions": len({query.dimensions for query in metrics}) > 1,
        "metric": len({query.metric for query in metrics}) > 1,
        "stat": len({query.stat for query in metrics}) > 1,
        "period": len({query.period for query in metrics}) > 1,
    }
    return {query.id: _plain(query, several) if query.metric else query.id for query in queries}


def _plain(query: Query, several: Mapping[str, bool]) -> str:
    parts = [value for _, value in query.dimensions] if several["dimensions"] else []
    if several["metric"] or not parts:
        parts.append(query.metric)
    parts += [query.stat] if several["stat"] else []
    parts += [str(query.period)] if several["period"] else []
    return " ".join(parts)


def dynamic(label: str, query: Query, line: Line, own: str, where: tuple[str, str]) -> str:
    """``own`` is the label that it would have without one; ``where`` account and region. What is unknown stays as it is."""
    properties = {
        "AccountId": where[0],
        "MetricName": query.metric,
        "Namespace": query.namespace,
        "Period": str(line.period),
        "Region": where[1],
        "Stat": query.stat,
        **{f"Dim.{name}": value for name, value in query.dimensions},
    }
    values = list(line.points.values())

    def tell(found: re.Match[str]) -> str:
        if found[1]:
            return properties.get(found[1], found[0])
        if found[2] == "LABEL":
            return own
        if found[2] == "DATAPOINT_COUNT":
            return str(len(values))
        compute = _OF_VALUES.get(found[2])
        if compute is None:
            return found[0]
        return f"{compute(values):.4g}" if values else "--"

    return _DYNAMIC.sub(tell, label)
