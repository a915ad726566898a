"""Routes of an HTTP API: which of them a request takes. Pure.

The most specific one wins: segment by segment from the left a text beats a variable, a variable beats the rest of the path
(``{proxy+}``); of two alike the method beats ANY. ``$default`` takes what nothing else does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote

import msgspec

DEFAULT, ANY = "$default", "ANY"
METHODS = (ANY, "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
_VARIABLE = re.compile(r"\{[\w.:-]+\+?\}\Z")
_MALFORMED = (
    "The provided route key is not formatted properly for HTTP protocol. "
    'Format should be "<HTTP METHOD> /<RESOURCE PATH>" or "$default"'
)
_TEXT = re.compile(r"[^{}/\s]*\Z")


class Taken(msgspec.Struct, frozen=True):
    """``key`` of the route, and its path parameters, decoded."""

    key: str
    parameters: Mapping[str, str] = {}


class _Node:
    __slots__ = ("ends", "rests", "texts", "variable")

    def __init__(self) -> None:
        self.texts: dict[str, _Node] = {}
        self.variable: _Node | None = None
        self.ends: dict[str, str] = {}
        self.rests: dict[str, str] = {}


def fault(key: str) -> str:
    """Why this is no route key, "" when it is one."""
    if key == DEFAULT:
        return ""
    method, space, path = key.partition(" ")
    if not space or method not in METHODS or not path.startswith("/"):
        return _MALFORMED
    segments = path[1:].split("/")
    names = [s.strip("{}+") for s in segments if _VARIABLE.match(s)]
    if any(not _VARIABLE.match(s) and not _TEXT.match(s) for s in segments) or len(set(names)) < len(names):
        return "One or more path parts appear to be invalid"
    if any(s.endswith("+}") for s in segments[:-1]):
        return "A greedy path variable is only allowed as the last segment"
    return ""


def alike(one: str, other: str) -> bool:
    """Whether two route keys without a fault take the same requests, so that nothing would tell which of them does."""
    return _shape(one) == _shape(other)


def _shape(key: str) -> list[str]:
    method, _, path = key.partition(" ")
    return [method, *(("{+}" if s.endswith("+}") else "{}") if _VARIABLE.match(s) else s for s in path.split("/"))]


class Routes:
    """``keys`` are route keys without a fault."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._root = _Node()
        self._default = False
        for key in keys:
            self._add(key)

    def _add(self, key: str) -> None:
        if key == DEFAULT:
            self._default = True
            return
        method, _, path = key.partition(" ")
        node = self._root
        for segment in path[1:].split("/"):
            if segment.endswith("+}"):
                node.rests[method] = key
                return
            if _VARIABLE.match(segment):
                node.variable = node.variable or _Node()
                node = node.variable
            else:
                node = node.texts.setdefault(segment, _Node())
        node.ends[method] = key

    def take(self, method: str, path: str) -> Taken | None:
        """``path`` as it was sent, percent-encoded. None: nothing takes it."""
        segments = path[1:].split("/")
        key = self._find(self._root, method, segments, 0)
        if key is None:
            return Taken(DEFAULT) if self._default else None
        return Taken(key, _parameters(key, segments))

    def _find(self, node: _Node, method: str, segments: list[str], place: int) -> str | None:
        if place == len(segments):
            return node.ends.get(method) or node.ends.get(ANY)
        text = node.texts.get(segments[place])
        found = self._find(text, method, segments, place + 1) if text is not None else None
        if found is None and node.variable is not None and segments[place]:
            found = self._find(node.variable, method, segments, place + 1)
        if found is None and any(segments[place:]):
            found = node.rests.get(method) or node.rests.get(ANY)
        return found


def _parameters(key: str, segments: list[str]) -> dict[str, str]:
    found = {}
    for place, segment in enumerate(key.partition(" ")[2][1:].split("/")):
        if segment.endswith("+}"):
            found[segment[1:-2]] = unquote("/".join(segments[place:]))
        elif _VARIABLE.match(segment):
            found[segment[1:-1]] = unquote(segments[place])
    return found
