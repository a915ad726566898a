"""Which records of an event source a mapping's filters let through."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any

from havre.core.event_pattern import Pattern, compile

_TEXT = {"aws:sqs": "body", "aws:kinesis": "data"}
"""Where the payload is, which patterns see as JSON if it is some."""


class Filters:
    """``patterns`` as in FilterCriteria.Filters[].Pattern; one of them has to match, and none lets everything through.
    Raises PatternError."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns: tuple[Pattern, ...] = tuple(compile(text) for text in patterns)

    def admits(self, event: Mapping[str, Any]) -> bool:
        """``event``: the record as the function would get it."""
        if not self._patterns:
            return True
        seen = visible(event)
        return any(pattern.matches(seen) for pattern in self._patterns)


def visible(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """What patterns are written for: bodies and data as JSON, Kinesis' members at the top."""
    source = event.get("eventSource", "")
    member = _TEXT.get(source)
    if member is None:
        return event
    if source == "aws:kinesis":
        event = {**event, **event["kinesis"]}
        text = _decoded(event["data"])
    else:
        text = event["body"]
    return {**event, member: _structured(text)}


def _decoded(data: str) -> str:
    try:
        return base64.b64decode(data).decode()
    except (binascii.Error, UnicodeDecodeError):
        return data


def _structured(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, dict | list) else text
