"""Filter patterns: compiled once, tried out by TestMetricFilter."""

from __future__ import annotations

from functools import lru_cache

from havre.control.operation import Answer, Call, Operations, Request
from havre.core.log_filter import Filter, FilterPatternError, compile_filter
from havre.services.logs.errors import invalid

ops = Operations()
_compile = lru_cache(maxsize=256)(compile_filter)


def compiled(pattern: str) -> Filter:
    """Raises ApiError for what is no pattern."""
    try:
        return _compile(pattern)
    except FilterPatternError as error:
        raise invalid(str(error)) from None


@ops("TestMetricFilter", read_only=True)
async def test_metric_filter(call: Call, request: Request) -> Answer:
    found = compiled(request["filterPattern"])
    return {
        "matches": [
            {"eventNumber": number, "eventMessage": text, "extractedValues": dict(found.extract(text))}
            for number, text in enumerate(request["logEventMessages"], 1)
            if found.matches(text)
        ]
    }
