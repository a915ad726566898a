"""Whether the body of a dashboard is one: what is wrong, and where, in CloudWatch's words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

TYPES = ("alarm", "chart", "custom", "explorer", "log", "metric", "text")
MOST_WIDGETS = 500
_BOUNDS = {"x": (0, 23), "y": (0, None), "width": (1, 24), "height": (1, 1000)}
_NEEDED = {"text": ("markdown",), "log": ("query",), "alarm": ("alarms",), "custom": ("endpoint",)}
Problem = tuple[str, str]
"""Where, as a path of JSON; and what is the matter."""


def problems(body: Any) -> list[Problem]:
    """``body`` is what the JSON says; nothing is wrong with it where there are none."""
    if not isinstance(body, dict):
        return [("", "Should be object")]
    if "widgets" not in body:
        return [("", "Should have required property 'widgets'")]
    widgets = body["widgets"]
    if not isinstance(widgets, list):
        return [("/widgets", "Should be array")]
    if len(widgets) > MOST_WIDGETS:
        return [("/widgets", f"Should NOT have more than {MOST_WIDGETS} items")]
    return [problem for n, widget in enumerate(widgets) for problem in _widget(f"/widgets/{n}", widget)]


def _widget(path: str, widget: Any) -> Iterator[Problem]:
    if not isinstance(widget, dict):
        yield path, "Should be object"
        return
    kind = widget.get("type")
    if kind is None:
        yield path, "Should have required property 'type'"
    elif kind not in TYPES:
        yield f"{path}/type", "Should be equal to one of the allowed values"
    for name, (least, most) in _BOUNDS.items():
        if name in widget:
            yield from _number(f"{path}/{name}", widget[name], least, most)
    properties = widget.get("properties")
    if properties is None:
        yield path, "Should have required property 'properties'"
    elif not isinstance(properties, dict):
        yield f"{path}/properties", "Should be object"
    elif kind == "metric":
        yield from _metric(f"{path}/properties", properties)
    else:
        for name in _NEEDED.get(str(kind), ()):
            if name not in properties:
                yield f"{path}/properties", f"Should have required property '{name}'"


def _number(path: str, value: Any, least: int, most: int | None) -> Iterator[Problem]:
    if not isinstance(value, int) or isinstance(value, bool):
        yield path, "Should be integer"
    elif value < least:
        yield path, f"Should be >= {least}"
    elif most is not None and value > most:
        yield path, f"Should be <= {most}"


def _metric(path: str, properties: Mapping[str, Any]) -> Iterator[Problem]:
    if "metrics" not in properties and "annotations" not in properties:
        yield path, "Should have required property 'metrics'"
        yield path, "The metric widget should have specified a region and a data source or an alarm annotation"
        yield path, "Should have required property 'annotations'"
        return
    if "metrics" not in properties:
        return
    if "region" not in properties:
        yield path, "Should have required property 'region'"
    metrics = properties["metrics"]
    if not isinstance(metrics, list):
        yield f"{path}/metrics", "Should be array"
        return
    for n, each in enumerate(metrics):
        if not isinstance(each, list):
            yield f"{path}/metrics/{n}", "Should be array"
        if not isinstance(each, list) or not all(isinstance(part, str) for part in each[:-1]) or not each:
            told = 'Field "metrics" has to be an array of array of strings'
            yield f"{path}/metrics/{n}", f"{told}, with an optional metricRenderer object as last element"
