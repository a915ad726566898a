"""Shapes: what a model says of one value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Resolve = Callable[[Mapping[str, Any]], "Shape"]


class Shape:
    """A shape as one place of the model refers to it: its definition with the traits of the reference laid over it.

    ``type``: structure, list, map, string, blob, timestamp, boolean, integer, long, float, double, …
    """

    __slots__ = ("_key", "_member", "_members", "_resolve", "_value", "name", "traits", "type")

    def __init__(self, name: str, traits: Mapping[str, Any], resolve: Resolve) -> None:
        self.name = name
        self.type: str = traits["type"]
        self.traits = traits
        self._resolve = resolve
        self._members: dict[str, Shape] | None = None
        self._member: Shape | None = None
        self._key: Shape | None = None
        self._value: Shape | None = None

    def __repr__(self) -> str:
        return f"Shape({self.name!r}, {self.type})"

    @property
    def members(self) -> Mapping[str, Shape]:
        """Of a structure; empty for anything else."""
        if self._members is None:
            self._members = {n: self._resolve(ref) for n, ref in self.traits.get("members", {}).items()}
        return self._members

    @property
    def member(self) -> Shape:
        """Of a list."""
        if self._member is None:
            self._member = self._resolve(self.traits["member"])
        return self._member

    @property
    def key(self) -> Shape:
        """Of a map."""
        if self._key is None:
            self._key = self._resolve(self.traits["key"])
        return self._key

    @property
    def value(self) -> Shape:
        """Of a map."""
        if self._value is None:
            self._value = self._resolve(self.traits["value"])
        return self._value

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(self.traits.get("required", ()))

    @property
    def enum(self) -> tuple[str, ...]:
        return tuple(self.traits.get("enum", ()))

    @property
    def location(self) -> str:
        """uri, querystring, header, headers, statusCode, or "" for the body."""
        return str(self.traits.get("location", ""))

    @property
    def wire_name(self) -> str:
        """The name that the reference gives it on the wire, or ""."""
        return str(self.traits.get("locationName", ""))

    @property
    def answer_location(self) -> str:
        """The same of an answer, where only these have a meaning: header, headers, statusCode."""
        return self.location if self.location in ("header", "headers", "statusCode") else ""

    @property
    def flattened(self) -> bool:
        return bool(self.traits.get("flattened"))

    def element_name(self, member: str) -> str:
        """The name of a member of this shape in forms and XML. The items of a list that is flattened by its own
        definition go by their own name; where the reference flattens it they go by the member's."""
        if self.type == "list" and self.flattened and not self.traits.get("flattenedByReference"):
            return self.member.wire_name or self.wire_name or member
        return self.wire_name or member

    @property
    def document(self) -> bool:
        """Free-form JSON."""
        return bool(self.traits.get("document"))

    @property
    def union(self) -> bool:
        return bool(self.traits.get("union"))

    @property
    def event_stream(self) -> bool:
        return bool(self.traits.get("eventstream"))

    @property
    def timestamp_format(self) -> str:
        """iso8601, rfc822, unixtimestamp, or "" for the protocol's own."""
        return str(self.traits.get("timestampFormat", "")).lower()

    def walk(self) -> Iterator[Shape]:
        """This shape and all below it, each name once."""
        seen: set[str] = set()
        waiting = [self]
        while waiting:
            shape = waiting.pop()
            yield shape
            if shape.name in seen:
                continue
            seen.add(shape.name)
            waiting.extend(shape.members.values())
            if shape.type == "list":
                waiting.append(shape.member)
            elif shape.type == "map":
                waiting += (shape.key, shape.value)
