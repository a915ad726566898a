"""JSON paths as EventBridge takes them: ``$``, names with dots or in brackets, indexes, ``*``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_STEP = re.compile(
    r"\.(?P<name>[A-Za-z0-9_@-][A-Za-z0-9_@/-]*)|\.(?P<all>\*)|\[(?P<index>\d{1,6})\]|\[(?P<every>\*)\]|\['(?P<quoted>[^']*)'\]"
    r"|\[\"(?P<doubly>[^\"]*)\"\]",
    re.ASCII,
)
MISSING = object()
_EACH = object()


class PathError(ValueError):
    """Text that is no path."""


class JsonPath:
    """A compiled path."""

    __slots__ = ("_steps",)

    def __init__(self, text: str) -> None:
        """Raises PathError."""
        if not text.startswith("$"):
            raise PathError(f"{text} does not begin with $")
        self._steps: list[Any] = []
        at = 1
        while at < len(text):
            step = _STEP.match(text, at)
            if step is None:
                raise PathError(f"{text} is no JSON path")
            at = step.end()
            groups = step.groupdict()
            if groups["index"] is not None:
                self._steps.append(int(groups["index"]))
            elif groups["all"] or groups["every"]:
                self._steps.append(_EACH)
            else:
                self._steps.append(next(groups[n] for n in ("name", "quoted", "doubly") if groups[n] is not None))

    def find(self, value: Any) -> Any:
        """What is there, MISSING for nothing. A ``*`` gives the list of what it finds."""
        return _walk(value, self._steps)


def _walk(value: Any, steps: list[Any]) -> Any:
    for n, step in enumerate(steps):
        if step is _EACH:
            if not isinstance(value, Mapping | list):
                return MISSING
            inside = value.values() if isinstance(value, Mapping) else value
            found = [_walk(each, steps[n + 1 :]) for each in inside]
            return [each for each in found if each is not MISSING]
        if isinstance(step, int):
            if not isinstance(value, list) or step >= len(value):
                return MISSING
            value = value[step]
        elif isinstance(value, Mapping) and step in value:
            value = value[step]
        else:
            return MISSING
    return value
