"""What comes out of an event."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

LARGEST = 2.0**360
LONGEST_DIMENSION = 1024
Dimensions = tuple[tuple[str, str], ...]


class Measured(NamedTuple):
    """``values``: value → how often. ``at`` in milliseconds since the epoch; ``step``: its resolution in seconds."""

    namespace: str
    name: str
    dimensions: Dimensions
    unit: str
    at: int
    values: Mapping[float, float]
    step: int = 60


def plausible(value: object) -> float | None:
    """A number as CloudWatch takes it; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and abs(number) <= LARGEST else None
