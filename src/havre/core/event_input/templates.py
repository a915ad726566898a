"""Input templates: text with ``<variables>`` that stand for parts of an event.

A variable within quotes is filled in as text; one outside of them as JSON. One that the event does not have is empty text,
in quotes of its own where it stands outside of any.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from havre.core.event_input.paths import MISSING, JsonPath

_VARIABLE = re.compile(r"<([A-Za-z0-9_.-]+)>", re.ASCII)
WHOLE = "aws.events.event.json"
RESERVED = frozenset(
    {
        "aws.events.rule-arn",
        "aws.events.rule-name",
        "aws.events.event.ingestion-time",
        "aws.events.event",
        WHOLE,
    }
)


class TemplateError(ValueError):
    """A template that names what there is not."""


class Template:
    """A compiled template: literal texts and variables in turn, each variable with whether it stands within quotes."""

    __slots__ = ("_paths", "_pieces")

    def __init__(self, text: str, paths: Mapping[str, str]) -> None:
        """Raises TemplateError and PathError."""
        for name in paths:
            if name.lower().startswith("aws"):
                raise TemplateError(f"{name} is reserved: names of variables cannot begin with AWS")
        self._paths = {name: JsonPath(path) for name, path in paths.items()}
        self._pieces = _pieces(text)
        used = {p[0] for p in self._pieces if not isinstance(p, str)}
        unknown = sorted(used - set(paths) - RESERVED)
        if unknown:
            raise TemplateError(f"contains invalid placeholder {', '.join(unknown)}")
        if WHOLE in used and not text.lstrip().startswith("{"):
            raise TemplateError(f"contains placeholder {WHOLE} valid only for JSON template")

    def fill(self, event: Mapping[str, Any], reserved: Mapping[str, Any]) -> str:
        """``reserved``: what stands for those variables that AWS defines."""
        found: list[str] = []
        for piece in self._pieces:
            if isinstance(piece, str):
                found.append(piece)
                continue
            name, quoted = piece
            path = self._paths.get(name)
            value = path.find(event) if path is not None else reserved.get(name, MISSING)
            found.append(_within(value) if quoted else _outside(value))
        return "".join(found)


def _pieces(text: str) -> list[str | tuple[str, bool]]:
    found: list[str | tuple[str, bool]] = []
    quoted, at, begun = False, 0, 0
    while at < len(text):
        char = text[at]
        if char == "\\":
            at += 2
            continue
        if char == '"':
            quoted = not quoted
        variable = _VARIABLE.match(text, at) if char == "<" else None
        if variable is not None:
            found += [text[begun:at], (variable[1], quoted)]
            at = begun = variable.end()
            continue
        at += 1
    found.append(text[begun:])
    return found


def _within(value: Any) -> str:
    if value is MISSING:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _outside(value: Any) -> str:
    return '""' if value is MISSING else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
