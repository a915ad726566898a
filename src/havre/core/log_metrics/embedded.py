"""The embedded metric format: a JSON object whose ``_aws`` member says which of its members are metrics, and of what.

An event that is no such document is none; what is wrong within one is told as a fault, and the rest of it counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from havre.core.log_metrics.model import LONGEST_DIMENSION, Dimensions, Measured, plausible

MARK = b'"CloudWatchMetrics"'
"""Events without it are looked at no further."""
MOST_METRICS = MOST_VALUES = 100
MOST_DIMENSIONS = 30
LONGEST_NAME = 255
PAST_MS, FUTURE_MS = 14 * 86_400_000, 2 * 3_600_000
_SIZES = [f"{prefix}{noun}" for noun in ("bytes", "bits") for prefix in ("", "kilo", "mega", "giga", "tera")]
_SIZES = [size[0].upper() + size[1:] for size in _SIZES]
UNITS = frozenset(
    (
        *("Seconds", "Microseconds", "Milliseconds", "Percent", "Count", "Count/Second", "None"),
        *_SIZES,
        *(f"{size}/Second" for size in _SIZES),
    )
)
_decode = msgspec.json.Decoder().decode


class Extracted(NamedTuple):
    """``faults`` are sentences."""

    metrics: tuple[Measured, ...]
    faults: tuple[str, ...]


class _Fault(Exception):
    """A part of the document that does not count."""


def extract(message: str, at: int, now: int) -> Extracted | None:
    """None where the message is no document of that format. ``at`` is the event's time, ``now`` the present one, in
    milliseconds."""
    document = _document(message)
    told = document.get("_aws") if document is not None else None
    if document is None or not isinstance(told, dict) or not isinstance(told.get("CloudWatchMetrics"), list):
        return None
    metrics: list[Measured] = []
    faults: list[str] = []
    try:
        time = _time(told.get("Timestamp", at), now)
    except _Fault as fault:
        return Extracted((), (str(fault),))
    for directive in told["CloudWatchMetrics"]:
        try:
            for found in _of_directive(document, directive, time):
                metrics.append(found) if isinstance(found, Measured) else faults.append(found)
        except _Fault as fault:
            faults.append(str(fault))
    return Extracted(tuple(metrics), tuple(faults))


def _document(message: str) -> dict[str, Any] | None:
    """The object; a line of a Lambda function may have its time and request before it, parted by tabs."""
    text = message.strip()
    if not text.startswith("{"):
        _, found, text = text.partition("\t{")
        text = "{" + text if found else ""
    try:
        document = _decode(text) if text else None
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError):
        return None
    return document if isinstance(document, dict) else None


def _time(given: Any, now: int) -> int:
    time = plausible(given)
    if time is None or not now - PAST_MS <= time <= now + FUTURE_MS:
        raise _Fault(f"Timestamp {given!r} is not within the last two weeks and the next two hours")
    return int(time)


def _of_directive(document: dict[str, Any], directive: Any, at: int) -> Iterator[Measured | str]:
    if not isinstance(directive, dict):
        raise _Fault("a directive is no object")
    namespace = _name(directive.get("Namespace"), "Namespace")
    if namespace.startswith("AWS/"):
        raise _Fault(f"Namespace {namespace} is reserved")
    sets, definitions = directive.get("Dimensions"), directive.get("Metrics")
    if not isinstance(sets, list) or not sets:
        raise _Fault("Dimensions must be an array of at least one set")
    if not isinstance(definitions, list) or len(definitions) > MOST_METRICS:
        raise _Fault(f"Metrics must be an array of at most {MOST_METRICS}")
    dimensions: list[Dimensions] = []
    for each in sets:
        try:
            dimensions.append(_dimensions(document, each))
        except _Fault as fault:
            yield str(fault)
    for definition in definitions:
        try:
            yield from _metric(document, definition, namespace, dimensions, at)
        except _Fault as fault:
            yield str(fault)


def _name(given: Any, what: str) -> str:
    if not isinstance(given, str) or not 0 < len(given) <= LONGEST_NAME or not given.strip():
        raise _Fault(f"{what} must have 1 to {LONGEST_NAME} characters")
    return given


def _dimensions(document: dict[str, Any], keys: Any) -> Dimensions:
    if not isinstance(keys, list) or len(keys) > MOST_DIMENSIONS:
        raise _Fault(f"a set of dimensions must be an array of at most {MOST_DIMENSIONS} names")
    found: dict[str, str] = {}
    for key in keys:
        name = _name(key, "the name of a dimension")
        value = document.get(name)
        if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_DIMENSION:
            raise _Fault(f"dimension {name} must have a string of 1 to {LONGEST_DIMENSION} characters")
        found[name] = value
    return tuple(sorted(found.items()))


def _metric(
    document: dict[str, Any], definition: Any, namespace: str, sets: Sequence[Dimensions], at: int
) -> Iterator[Measured]:
    if not isinstance(definition, dict):
        raise _Fault("a metric is no object")
    name = _name(definition.get("Name"), "the name of a metric")
    unit, step = definition.get("Unit", "None"), definition.get("StorageResolution", 60)
    if not isinstance(unit, str) or unit not in UNITS:
        raise _Fault(f"metric {name} has a unit that is none")
    if step not in (1, 60):
        raise _Fault(f"metric {name} has a StorageResolution other than 1 and 60")
    given = document.get(name)
    listed = given if isinstance(given, list) else [given]
    values = [value for each in listed if (value := plausible(each)) is not None]
    if not values or len(values) < len(listed) or len(values) > MOST_VALUES:
        raise _Fault(f"metric {name} must have a number, or an array of 1 to {MOST_VALUES} numbers")
    counted = {value: float(count) for value, count in Counter(values).items()}
    for dimensions in sets:
        yield Measured(namespace, name, dimensions, unit, at, counted, int(step))
