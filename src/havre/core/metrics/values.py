"""A distribution in bounded room: value → how often it was seen.

Up to EXACT different values are kept as they are. Beyond, each value becomes that of its logarithmic bucket, which is off by
ERROR at most; should more than MOST buckets be needed, they are made wider until they suffice (MOST buckets span eight
decades: a microsecond to ten minutes).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import msgspec

EXACT = 100
MOST = 1000
ERROR = 0.01
_WIDTH = math.log((1 + ERROR) / (1 - ERROR))
_decode = msgspec.msgpack.Decoder(tuple[list[float], list[float]]).decode
_encode = msgspec.msgpack.Encoder().encode

Values = Mapping[float, float]
UNKNOWN = b""
"""In place of an encoded distribution: only count, sum, least and most are known."""


def summary(values: Values) -> tuple[float, float, float, float]:
    """Count, sum, least and most of at least one value."""
    total = math.fsum(value * count for value, count in values.items())
    return float(sum(values.values())), total, float(min(values)), float(max(values))


def bounded(values: Values) -> Values:
    if len(values) <= EXACT:
        return values
    width = _WIDTH
    found = _bucketed(values, width)
    while len(found) > MOST:
        width *= 2
        found = _bucketed(values, width)
    return found


def _bucketed(values: Values, width: float) -> dict[float, float]:
    """The middle of a bucket is off from both of its ends by the same part of them."""
    middle = 2 / (1 + math.exp(width))
    found: dict[float, float] = {}
    for value, count in values.items():
        near = 0.0 if value == 0 else math.exp(math.ceil(math.log(abs(value)) / width) * width) * middle
        near = math.copysign(near, value)
        found[near] = found.get(near, 0.0) + count
    return found


def together(many: Iterable[Values]) -> Values:
    found: dict[float, float] = {}
    for values in many:
        for value, count in values.items():
            found[value] = found.get(value, 0.0) + count
    return bounded(found)


def encode(values: Values | None) -> bytes:
    """Bounded by then; UNKNOWN for None."""
    if values is None:
        return UNKNOWN
    kept = bounded(values)
    return _encode((list(kept), [int(count) if count == int(count) else count for count in kept.values()]))


def decode(data: bytes) -> Values | None:
    """None where the values are unknown."""
    return None if data == UNKNOWN else dict(zip(*_decode(data), strict=True))


def merge(many: Sequence[bytes]) -> bytes:
    """Encoded distributions as one; unknown as soon as one of them is."""
    found = [values for data in many if (values := decode(data)) is not None]
    return encode(together(found) if len(found) == len(many) else None)
