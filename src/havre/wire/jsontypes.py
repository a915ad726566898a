"""msgspec types made from shapes: JSON is decoded, typed and checked in one pass of C.

Such a decoder only ever says yes. When it says no, ``convert`` and ``checks`` go over the body again, to accept what it
is too strict for (numbers as text, ISO timestamps) or to tell what is wrong in AWS's words.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypedDict

import msgspec

from havre.wire import patterns
from havre.wire.checks import INTEGERS, Rules
from havre.wire.convert import wire_name
from havre.wire.shapes import Shape


class TypeBuilder:
    """Types of one service's shapes, under its rules."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._structures: dict[str, Any] = {}

    def decoder(self, shape: Shape) -> msgspec.json.Decoder[dict[str, Any]] | None:
        """A decoder for the body of a request; None when its values need more than their types (renamed members,
        lists and maps that contain themselves). Unions are not checked."""
        for each in shape.walk():
            if each.type in ("list", "map") and _contains_itself(each):
                return None
            body = [(name, m) for name, m in each.members.items() if not m.location]
            if any(wire_name(name, m) != name for name, m in body):
                return None
        return msgspec.json.Decoder(self._structure(shape))

    def _of(self, shape: Shape) -> Any:
        kind = shape.type
        if kind == "structure":
            return Any if shape.document else self._structure(shape)
        if kind == "list":
            item: Any = self._of(shape.member)
            return self._limited(list[item], shape)
        if kind == "map":
            key: Any = self._of(shape.key)
            value: Any = self._of(shape.value)
            return self._limited(dict[key, value], shape)
        if kind in INTEGERS:
            return Annotated[int, self._range(shape, *INTEGERS[kind])]
        if kind in ("float", "double"):
            return Annotated[float, self._range(shape, None, None)]
        if kind == "blob":
            return self._limited(bytes, shape)
        return {"boolean": bool, "timestamp": float}.get(kind) or self._string(shape)

    def _structure(self, shape: Shape) -> Any:
        made = self._structures.get(shape.name)
        if made is None:
            make: Any = TypedDict
            made = self._structures[shape.name] = make(shape.name, {}, total=False)
            members = {n: m for n, m in shape.members.items() if not m.location and not m.event_stream}
            required = frozenset(shape.required) & members.keys()
            # filled in afterwards, so that a structure may contain itself
            made.__annotations__ = {name: self._of(member) for name, member in members.items()}
            made.__required_keys__ = required
            made.__optional_keys__ = frozenset(members) - required
        return made

    def _string(self, shape: Shape) -> Any:
        if shape.enum and self._rules.enums:
            return Literal[shape.enum]
        meta = self._lengths(shape)
        if self._rules.patterns and "pattern" in shape.traits and (pattern := patterns.whole(shape.traits["pattern"])):
            meta["pattern"] = pattern
        return Annotated[str, msgspec.Meta(**meta)] if meta else str

    def _limited(self, kind: Any, shape: Shape) -> Any:
        meta = self._lengths(shape)
        return Annotated[kind, msgspec.Meta(**meta)] if meta else kind

    def _lengths(self, shape: Shape) -> dict[str, Any]:
        if not self._rules.lengths:
            return {}
        meta = {}
        if shape.traits.get("min"):
            meta["min_length"] = int(shape.traits["min"])
        if shape.traits.get("max") is not None:
            meta["max_length"] = int(shape.traits["max"])
        return meta

    def _range(self, shape: Shape, low: int | None, high: int | None) -> msgspec.Meta:
        least, most = (shape.traits.get("min"), shape.traits.get("max")) if self._rules.ranges else (None, None)
        if least is not None and (low is None or least > low):
            low = least
        if most is not None and (high is None or most < high):
            high = most
        return msgspec.Meta(ge=low, le=high)


def _contains_itself(shape: Shape) -> bool:
    """Through lists and maps alone, which a type cannot say."""
    seen = {shape.name}
    waiting = [shape]
    while waiting:
        each = waiting.pop()
        inner = [each.member] if each.type == "list" else [each.value] if each.type == "map" else []
        for one in inner:
            if one.name in seen:
                return True
            seen.add(one.name)
            waiting.append(one)
    return False
