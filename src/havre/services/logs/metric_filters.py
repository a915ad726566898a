"""Metrics out of events that were kept just now: how many, what a group's metric filters make of them, and embedded metrics.

They are counted in passing, as metrics of AWS's services are; the events themselves are durable by then.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from havre.control.metrics import Tally
from havre.control.operation import Call
from havre.core.log_metrics import MARK, Measured, Transformation, extract
from havre.kernel.resource import scoped
from havre.services.logs.events import HEAD, OVERHEAD, message
from havre.services.logs.resources import METRIC_FILTER, Group, MetricFilter

OWN = "AWS/Logs"
STANDARD = "STANDARD"
"""The class of groups whose events make metrics."""


@lru_cache(maxsize=256)
def transformation(spec: MetricFilter) -> Transformation:
    """Raises FilterPatternError, TransformationError."""
    return Transformation(spec.pattern, spec.value, spec.default, dict(spec.dimensions))


def measure(call: Call, group: Group, entries: Sequence[tuple[int, bytes]], now: int) -> None:
    """``entries``: times in milliseconds, and what lies in the journal."""
    _count(call, group.meta.name, entries)
    if group.spec.group_class != STANDARD:
        return
    found = call.store.find(METRIC_FILTER, "group", scoped(call.account, call.region, group.meta.name))
    marked = [(at, data) for at, data in entries if MARK in data]
    if not found and not marked:
        return
    together: dict[tuple[str, str, tuple[tuple[str, str], ...], str, int, int], dict[float, float]] = {}
    for each in found:
        for told in _filtered(each.spec, entries):
            _add(together, told)
    for at, data in marked:
        for told in _embedded(group.meta.name, message(data), at, now):
            _add(together, told)
    for (namespace, name, dimensions, unit, at, step), values in together.items():
        tally = Tally(call.account, call.region, namespace, name, dimensions, unit, float(at), values, step)
        call.metrics.put(tally)


def _count(call: Call, group: str, entries: Sequence[tuple[int, bytes]]) -> None:
    """What comes in: events, and the bytes that they count."""
    size = sum(len(data) for _, data in entries) + (OVERHEAD - HEAD) * len(entries)
    for dimensions in ((), (("LogGroupName", group),)):
        call.metrics.add(call.account, call.region, OWN, "IncomingLogEvents", dimensions, float(len(entries)))
        call.metrics.add(call.account, call.region, OWN, "IncomingBytes", dimensions, float(size), "Bytes")


def _add(
    together: dict[tuple[str, str, tuple[tuple[str, str], ...], str, int, int], dict[float, float]], told: Measured
) -> None:
    at = told.at // 1000 // told.step * told.step
    values = together.setdefault((told.namespace, told.name, told.dimensions, told.unit, at, told.step), {})
    for value, count in told.values.items():
        values[value] = values.get(value, 0.0) + count


def _filtered(spec: MetricFilter, entries: Sequence[tuple[int, bytes]]) -> Iterator[Measured]:
    measured = transformation(spec).measure
    for at, data in entries:
        found = measured(message(data))
        if found is not None:
            yield Measured(spec.namespace, spec.metric, found[1], spec.unit, at, {found[0]: 1.0})


def _embedded(group: str, text: str, at: int, now: int) -> Iterator[Measured]:
    """What cannot be understood of a document is counted, where AWS counts it."""
    found = extract(text, at, now)
    if found is None:
        return
    yield from found.metrics
    if found.faults:
        faults = {float(len(found.faults)): 1.0}
        for dimensions in ((), (("LogGroupName", group),)):
            yield Measured(OWN, "EMFValidationErrors", dimensions, "Count", now, faults)
