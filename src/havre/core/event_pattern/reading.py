"""The text of a pattern as the object that it is; what is wrong with it is said as AWS says it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from havre.core.event_pattern.model import PatternError, Unreadable

_TOKEN = re.compile(r"[\w$]+")
_VALUES = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"


def parsed(pattern: Mapping[str, Any] | str) -> Mapping[str, Any]:
    """The object that the text is. Raises PatternError."""
    found: Any = pattern
    if isinstance(pattern, str):
        try:
            found = json.loads(pattern)
        except (ValueError, RecursionError) as error:
            raise Unreadable(unreadable(pattern, error)) from None
    if not isinstance(found, Mapping):
        raise PatternError("Filter is not an object")
    return found


def unreadable(text: str, error: Exception) -> str:
    """Why the text is no JSON, which ``error`` says of it."""
    if not isinstance(error, json.JSONDecodeError):
        return "Nesting is too deep"
    rest = text[error.pos :].lstrip()
    if not rest:
        return "Unexpected end-of-input"
    token = _TOKEN.match(rest)
    char = f"Unexpected character ('{rest[0]}' (code {ord(rest[0])}))"
    if error.msg.startswith("Expecting property name"):
        return f"{char}: was expecting double-quote to start field name"
    if error.msg.startswith("Expecting value"):
        return (
            f"Unrecognized token '{token[0]}': was expecting {_VALUES}" if token else f"{char}: expected a valid value"
        )
    if error.msg.startswith("Expecting ':'"):
        return f"{char}: was expecting a colon to separate field name and value"
    if error.msg.startswith("Expecting ','"):
        return f"{char}: was expecting comma to separate entries"
    return f"Unexpected token: {error.msg} at position {error.pos}"
