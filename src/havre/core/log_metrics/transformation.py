"""A metric filter's transformation: which value an event stands for, and under which dimensions."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from havre.core.log_filter import Filter, FilterPatternError, compile_filter, compile_selector
from havre.core.log_metrics.model import LONGEST_DIMENSION, Dimensions, plausible

MOST_DIMENSIONS = 3
_Find = Callable[[str], str | None]


class TransformationError(ValueError):
    """In AWS's words, as far as they are known."""


class Transformation:
    """Raises FilterPatternError, TransformationError. ``value`` and the dimensions' values are numbers or selectors
    (``$.latency`` for JSON, ``$latency`` for fields)."""

    def __init__(
        self, pattern: str, value: str, default: float | None = None, dimensions: Mapping[str, str] | None = None
    ) -> None:
        wanted = dimensions or {}
        if wanted and default is not None:
            raise TransformationError(
                "Invalid metric transformation: dimensions and default value are mutually exclusive properties"
            )
        if len(wanted) > MOST_DIMENSIONS:
            raise TransformationError(
                f"Invalid metric transformation: at most {MOST_DIMENSIONS} dimensions may be specified"
            )
        self._filter: Filter = compile_filter(pattern)
        self._default = default
        self._fixed = _number(value)
        self._find: _Find = _nothing
        if self._fixed is None:
            self._find = _selector(pattern, value, f"metric value {value} must be a valid number")
        self._dimensions = tuple(
            (name, _selector(pattern, selector, "dimension value must be valid selector"))
            for name, selector in wanted.items()
        )

    def measure(self, message: str) -> tuple[float, Dimensions] | None:
        """None where the event stands for nothing. What matches without having the field counts as the default; a field
        that is no number counts for nothing. Dimensions are told when the event has all of them, and else none is."""
        if not self._filter.matches(message):
            return None if self._default is None else (self._default, ())
        value = self._fixed
        if value is None:
            text = self._find(message)
            value = self._default if text is None else _number(text)
        if value is None:
            return None
        found = [(name, find(message)) for name, find in self._dimensions]
        told = tuple((name, text) for name, text in found if text is not None and text.strip())
        if len(told) < len(found) or any(len(text) > LONGEST_DIMENSION for _, text in told):
            return value, ()
        return value, told


def _number(text: str) -> float | None:
    try:
        return plausible(float(text)) if "_" not in text else None
    except ValueError:
        return None


def _selector(pattern: str, text: str, otherwise: str) -> _Find:
    try:
        return compile_selector(pattern, text)
    except FilterPatternError:
        raise TransformationError(f"Invalid metric transformation: {otherwise}") from None


def _nothing(message: str) -> str | None:
    return None
