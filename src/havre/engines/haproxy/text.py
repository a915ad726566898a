"""Words that are safe inside HAProxy's configuration: whatever a user typed stays one literal word."""

from __future__ import annotations

import hashlib
import re

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,80}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Unsafe(ValueError):
    """A value that has no place in a configuration file; the message says which, fit for a user's eyes."""


def name(prefix: str, id: str) -> str:
    """A proxy's name for any id: the id itself where it may stand, a digest of it elsewhere."""
    if _NAME.fullmatch(id):
        return f"{prefix}_{id}"
    return f"{prefix}_{hashlib.sha256(id.encode()).hexdigest()[:24]}"


def quote(value: str) -> str:
    """One word, taken literally. Raises Unsafe for control characters, which no quoting can carry."""
    if _CONTROL.search(value):
        raise Unsafe(f"the value {value!r} has a control character")
    return "'" + value.replace("'", "'\\''") + "'"


def literal(value: str) -> str:
    """``value`` inside a log-format string, without anything being replaced."""
    return value.replace("%", "%%")
