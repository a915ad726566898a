"""``{ $.latency > 100 && ($.user.id = 1 || $.hosts[0] = "a*") }``"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from havre.core.log_filter.compare import Comparison, unquote
from havre.core.log_filter.model import Conditions, Filter, Scanner, Test

_ROOT = re.compile(r"\$")
_MEMBER = re.compile(r"""\.(?:\["((?:[^"\\]|\\.)*)"\]|\['([^']*)'\]|([^\s.\[\](){}<>=!&|"%$,]+))""")
_ITEM = re.compile(r"""\[(?:(\d{1,9})|(\*)|"((?:[^"\\]|\\.)*)"|'([^']*)')\]""")
_IS = re.compile(r"IS\s+(TRUE|FALSE|NULL)\b", re.IGNORECASE)
_NOT_EXISTS = re.compile(r"NOT\s+EXISTS\b", re.IGNORECASE)
_EXISTS = re.compile(r"EXISTS\b", re.IGNORECASE)
_BARE = re.compile(r"""[^\s&|(){}<>=!"%]+""")
_NAMED = {"TRUE": True, "FALSE": False, "NULL": None}
EVERY = -1
Step = str | int
"""A member's name, an item's number, or EVERY item."""
_decode = msgspec.json.Decoder().decode


class Selector:
    """``$.a.b[0].c``; ``*`` stands for every item or member."""

    def __init__(self, scanner: Scanner) -> None:
        if scanner.take(_ROOT) is None:
            raise scanner.error("expected a selector that begins with '$'")
        begin = scanner.at - 1
        self._steps: list[Step] = []
        while (step := _step(scanner)) is not None:
            self._steps.append(step)
        self.source = scanner.text[begin : scanner.at]
        if not self._steps:
            raise scanner.error("expected a property behind '$'")

    def nodes(self, document: Any) -> Sequence[Any]:
        """What it selects: nothing, one thing, or several where there is a ``*``."""
        found = [document]
        for step in self._steps:
            found = [child for node in found for child in _children(node, step)]
        return found


def _step(scanner: Scanner) -> Step | None:
    text, at = scanner.text, scanner.at  # no white space inside a selector
    if (found := _MEMBER.match(text, at)) is not None:
        scanner.at = found.end()
        name = unquote(found[1]) if found[1] is not None else found[2] or found[3]
        return EVERY if name == "*" else name
    if (found := _ITEM.match(text, at)) is not None:
        scanner.at = found.end()
        if found[1]:
            return int(found[1])
        return EVERY if found[2] else unquote(found[3]) if found[3] is not None else found[4]
    return None


def _children(node: Any, step: Step) -> Sequence[Any]:
    if isinstance(step, str):
        return (node[step],) if isinstance(node, dict) and step in node else ()
    if step == EVERY:
        return node if isinstance(node, list) else list(node.values()) if isinstance(node, dict) else ()
    return (node[step],) if isinstance(node, list) and step < len(node) else ()


class _Reader:
    """Reads conditions, and remembers their selectors."""

    def __init__(self) -> None:
        self.selectors: list[Selector] = []
        self._regexes: list[str] = []

    def simple(self, scanner: Scanner) -> Test[Any]:
        selector = Selector(scanner)
        self.selectors.append(selector)
        nodes = selector.nodes
        if (found := scanner.take(_IS)) is not None:
            wanted = _NAMED[found[1].upper()]
            return lambda document: any(node is wanted for node in nodes(document))
        if scanner.take(_NOT_EXISTS) is not None:
            return lambda document: not nodes(document)
        if scanner.take(_EXISTS) is not None:
            return lambda document: bool(nodes(document))
        comparison = Comparison(scanner, _BARE, self._regexes)
        return lambda document: any(_holds(comparison, node) for node in nodes(document))


def _holds(comparison: Comparison, node: Any) -> bool:
    if isinstance(node, str):
        return comparison.text(node)
    if isinstance(node, bool):
        return comparison.text("true" if node else "false")
    if isinstance(node, int | float):
        return comparison.number(node, str(node))
    return False


def _parse(message: str) -> Any:
    """The JSON object or array that a message is; None for anything else."""
    start = message.lstrip()[:1]
    if start not in ("{", "["):
        return None
    try:
        return _decode(message)
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError):
        return None


def compile_json(text: str) -> Filter:
    """Messages that are no JSON object or array do not match."""
    scanner = Scanner(text)
    scanner.expect("{")
    reader = _Reader()
    test = Conditions(scanner, reader.simple).read()
    scanner.expect("}")
    if not scanner.ended:
        raise scanner.error("expected nothing behind '}'")

    def matches(message: str) -> bool:
        document = _parse(message)
        return document is not None and test(document)

    return Filter(matches, _extractor(reader.selectors))


def _extractor(selectors: Sequence[Selector]) -> Callable[[str], dict[str, str]]:
    def extract(message: str) -> dict[str, str]:
        document = _parse(message)
        found = ((s.source, s.nodes(document)) for s in selectors)
        return {source: _shown(nodes[0]) for source, nodes in found if nodes}

    return extract


def json_selector(text: str) -> Callable[[str], str | None]:
    """The first thing that it selects. Raises FilterPatternError."""
    scanner = Scanner(text)
    selector = Selector(scanner)
    if not scanner.ended:
        raise scanner.error("expected nothing behind the selector")

    def find(message: str) -> str | None:
        document = _parse(message)
        nodes = selector.nodes(document) if document is not None else ()
        node = nodes[0] if nodes else None
        return None if node is None or isinstance(node, dict | list) else _shown(node)

    return find


def _shown(node: Any) -> str:
    return node if isinstance(node, str) else msgspec.json.encode(node).decode()
