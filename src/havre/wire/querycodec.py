"""Requests of the query and ec2 protocols: form parameters whose dotted names spell a tree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from havre.kernel.errors import ApiError
from havre.wire import timestamps
from havre.wire.checks import INTEGERS, Checker
from havre.wire.convert import Mismatch, blob_from_base64
from havre.wire.dialects import Dialect, refuse
from havre.wire.models import OperationModel
from havre.wire.shapes import Shape

_DEEPEST = 64
"""Parts of a parameter's name; AWS's own models need eleven."""

Node = Any
"""A value's text, or its parts by name."""
Parse = Callable[[Node, str], Any]


class QueryCodec:
    """Form parameters of one service; ``ec2`` spells names and lists its own way, and takes a parameter without a value
    for one that is not there: its clients send ``AvailabilityZoneId=`` for what they were not told."""

    def __init__(self, spoken: Dialect, ec2: bool) -> None:
        self._spoken = spoken
        self._ec2 = ec2
        self._checker = Checker(spoken.rules)
        self._structures: dict[str, Parse] = {}

    def parse(self, operation: OperationModel, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Raises ApiError."""
        if operation.input is None:
            return {}
        try:
            value: dict[str, Any] = self._structure(operation.input)(_tree(pairs), "")
        except Mismatch as mismatch:
            raise ApiError(self._spoken.malformed, str(mismatch)) from None
        if self._ec2:
            value = {name: one for name, one in value.items() if one != ""}
        violations = self._checker.violations(operation.input, value)
        if violations:
            raise refuse(self._spoken, operation.name, violations)
        return value

    def _of(self, shape: Shape) -> Parse:
        kind = shape.type
        if kind == "structure":
            return self._structure(shape)
        if kind == "list":
            return self._list(shape)
        if kind == "map":
            return self._map(shape)
        return _LEAVES.get(kind, _string)

    def _name(self, name: str, shape: Shape) -> str:
        if self._ec2:
            return self._spoken.rules.named(name, shape)
        return shape.element_name(name)

    def _structure(self, shape: Shape) -> Parse:
        made = self._structures.get(shape.name)
        if made is not None:
            return made
        fields: list[tuple[str, str, Parse]] | None = None

        def structure(node: Node, path: str) -> dict[str, Any]:
            nonlocal fields
            if fields is None:
                fields = [(n, self._name(n, m), self._of(m)) for n, m in shape.members.items()]
            if not isinstance(node, dict):
                if node:
                    raise Mismatch(f"Unexpected value for {path or 'the request'}: it has members")
                return {}
            parsed = {}
            for name, wire, parse in fields:
                inner = node.get(wire)
                if inner is not None:
                    parsed[name] = parse(inner, f"{path}.{wire}" if path else wire)
            return parsed

        self._structures[shape.name] = structure
        return structure

    def _list(self, shape: Shape) -> Parse:
        each: Parse | None = None
        inner = "" if self._ec2 or shape.flattened else shape.member.wire_name or "member"

        def parse(node: Node, path: str) -> list[Any]:
            nonlocal each
            if each is None:
                each = self._of(shape.member)
            if isinstance(node, dict) and inner:
                node = node.get(inner, "")
            if not isinstance(node, dict):
                if node:
                    raise Mismatch(f"Unexpected value for {path}: it is a list")
                return []
            return [each(one, f"{path}.{index}") for index, one in _numbered(node)]

        return parse

    def _map(self, shape: Shape) -> Parse:
        keys = shape.key.wire_name or "key"
        values = shape.value.wire_name or "value"
        each: Parse | None = None

        def parse(node: Node, path: str) -> dict[str, Any]:
            nonlocal each
            if each is None:
                each = self._of(shape.value)
            if isinstance(node, dict) and not shape.flattened:
                node = node.get("entry", "")
            if not isinstance(node, dict):
                if node:
                    raise Mismatch(f"Unexpected value for {path}: it is a map")
                return {}
            parsed = {}
            for index, entry in _numbered(node):
                key = entry.get(keys) if isinstance(entry, dict) else None
                if not isinstance(key, str):
                    raise Mismatch(f"{path}.entry.{index} has no {keys}")
                parsed[key] = each(entry.get(values, ""), f"{path}.{key}")
            return parsed

        return parse


def _tree(pairs: Sequence[tuple[str, str]]) -> dict[str, Node]:
    root: dict[str, Node] = {}
    for name, value in pairs:
        if "." not in name:
            if not isinstance(root.get(name), dict):
                root[name] = value
            continue
        parts = name.split(".", _DEEPEST)
        if len(parts) > _DEEPEST:
            raise Mismatch("The request is nested too deeply")
        node = root
        for part in parts[:-1]:
            child = node.get(part)
            if not isinstance(child, dict):
                child = node[part] = {}
            node = child
        if not isinstance(node.get(parts[-1]), dict):
            node[parts[-1]] = value
    return root


def _numbered(node: dict[str, Node]) -> list[tuple[int, Node]]:
    """The parts with a number for a name, in its order."""
    numbered = []
    for key, one in node.items():
        if not (key.isascii() and key.isdecimal() and len(key) < 10):
            raise Mismatch(f"Unexpected list index: {key[:40]}")
        numbered.append((int(key), one))
    numbered.sort(key=lambda item: item[0])
    return numbered


def _text(node: Node, path: str) -> str:
    if isinstance(node, str):
        return node
    raise Mismatch(f"Unexpected members of {path}")


def _string(node: Node, path: str) -> str:
    return _text(node, path)


def _boolean(node: Node, path: str) -> bool:
    text = _text(node, path).lower()
    if text not in ("true", "false"):
        raise Mismatch(f"Invalid value for {path}: {text[:40]!r} is not a boolean")
    return text == "true"


def _integer(low: int, high: int) -> Parse:
    def integer(node: Node, path: str) -> int:
        text = _text(node, path)
        digits = text.removeprefix("-").removeprefix("+")
        if not (digits.isascii() and digits.isdecimal() and len(digits) < 25 and low <= int(text) <= high):
            raise Mismatch(f"Invalid value for {path}: {text[:40]!r} is not an integer within range")
        return int(text)

    return integer


def _float(node: Node, path: str) -> float:
    text = _text(node, path)
    try:
        return float(text)
    except ValueError:
        raise Mismatch(f"Invalid value for {path}: {text[:40]!r} is not a number") from None


def _timestamp(node: Node, path: str) -> float:
    text = _text(node, path)
    try:
        return timestamps.parse(text)
    except (ValueError, OverflowError):
        raise Mismatch(f"Invalid value for {path}: {text[:40]!r} is not a timestamp") from None


def _blob(node: Node, path: str) -> bytes:
    return blob_from_base64(_text(node, path))


_LEAVES: dict[str, Parse] = {
    "boolean": _boolean,
    "integer": _integer(*INTEGERS["integer"]),
    "long": _integer(*INTEGERS["long"]),
    "float": _float,
    "double": _float,
    "timestamp": _timestamp,
    "blob": _blob,
}
