"""Answers in XML: query, ec2 and rest-xml. Compiled once for each shape into functions that append text."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from havre.wire import timestamps
from havre.wire.shapes import Shape

Out = list[str]
Write = Callable[[Any, Out], None]
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_SPECIAL = re.compile("[&<>\r\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff\x85\u2028]")


def escape(text: str) -> str:
    """Text for an element. What XML cannot carry at all becomes U+FFFD."""
    if not _SPECIAL.search(text):
        return text
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")
    return _ILLEGAL.sub("\ufffd", text.replace("\x85", "&#x85;").replace("\u2028", "&#x2028;"))


def escape_attribute(text: str) -> str:
    return escape(text).replace('"', "&quot;").replace("\n", "&#10;").replace("\t", "&#9;")


class XmlWriter:
    """``ec2`` names the items of lists ``item`` where the model does not."""

    def __init__(self, ec2: bool = False) -> None:
        self._item = "item" if ec2 else "member"
        self._structures: dict[str, Write] = {}

    def element(self, name: str, shape: Shape) -> Write:
        """Writes a value as the element ``name``; a flattened list or map as several."""
        if shape.type == "list" and shape.flattened:
            return self._items(shape, name)
        if shape.type == "map" and shape.flattened:
            return self._entries(shape, name)
        if shape.type in ("list", "map"):
            inner = self._items(shape, shape.member.wire_name or self._item) if shape.type == "list" else None
            return self._wrapped(name, shape, inner or self._entries(shape, "entry"))
        if shape.type == "structure":
            return self._structure_element(name, shape)
        start, end, text = f"<{name}{_namespace(shape)}>", f"</{name}>", _text(shape)
        return lambda value, out: out.append(f"{start}{text(value)}{end}")

    def content(self, shape: Shape) -> Write:
        """Writes the members of a structure, without an element around them."""
        made = self._structures.get(shape.name)
        if made is not None:
            return made
        fields: dict[str, Write] | None = None

        def structure(value: Mapping[str, Any], out: Out) -> None:
            nonlocal fields
            if fields is None:
                fields = {n: self._member(n, m) for n, m in shape.members.items() if _in_body(m)}
            for name, inner in value.items():
                write = fields.get(name)
                if inner is not None and write is not None:
                    write(inner, out)

        self._structures[shape.name] = structure
        return structure

    def _member(self, name: str, shape: Shape) -> Write:
        """Compiled when first written, for structures that contain themselves."""
        write: Write | None = None

        def later(value: Any, out: Out) -> None:
            nonlocal write
            if write is None:
                write = self.element(shape.element_name(name), shape)
            write(value, out)

        return later if shape.type in ("list", "map", "structure") else self.element(shape.element_name(name), shape)

    def _structure_element(self, name: str, shape: Shape) -> Write:
        start, end, inner = f"<{name}{_namespace(shape)}", f"</{name}>", self.content(shape)
        attributes = [(n, m.wire_name or n) for n, m in shape.members.items() if m.traits.get("xmlAttribute")]

        def write(value: Mapping[str, Any], out: Out) -> None:
            out.append(start)
            for member, attribute in attributes:
                if value.get(member) is not None:
                    out.append(f' {attribute}="{escape_attribute(str(value[member]))}"')
            out.append(">")
            inner(value, out)
            out.append(end)

        return write

    @staticmethod
    def _wrapped(name: str, shape: Shape, inner: Write) -> Write:
        start, end = f"<{name}{_namespace(shape)}>", f"</{name}>"

        def write(value: Any, out: Out) -> None:
            out.append(start)
            inner(value, out)
            out.append(end)

        return write

    def _items(self, shape: Shape, name: str) -> Write:
        each: Write | None = None

        def write(value: Any, out: Out) -> None:
            nonlocal each
            if each is None:
                each = self.element(name, shape.member)
            for one in value:
                if one is not None:
                    each(one, out)

        return write

    def _entries(self, shape: Shape, name: str) -> Write:
        key: Write | None = None
        each: Write | None = None

        def write(value: Mapping[str, Any], out: Out) -> None:
            nonlocal key, each
            if key is None or each is None:
                key = self.element(shape.key.wire_name or "key", shape.key)
                each = self.element(shape.value.wire_name or "value", shape.value)
            for one, inner in value.items():
                if inner is not None:
                    out.append(f"<{name}>")
                    key(one, out)
                    each(inner, out)
                    out.append(f"</{name}>")

        return write


def _in_body(shape: Shape) -> bool:
    return not (shape.answer_location or shape.traits.get("xmlAttribute") or shape.event_stream)


def _namespace(shape: Shape) -> str:
    namespace = shape.traits.get("xmlNamespace")
    if not namespace:
        return ""
    if isinstance(namespace, str):
        return f' xmlns="{namespace}"'
    prefix = namespace.get("prefix")
    return f' xmlns{":" + prefix if prefix else ""}="{namespace["uri"]}"'


def number(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return str(value)


def _text(shape: Shape) -> Callable[[Any], str]:
    kind = shape.type
    if kind == "boolean":
        return lambda value: "true" if value else "false"
    if kind == "blob":
        return lambda value: base64.b64encode(value).decode()
    if kind in ("float", "double", "integer", "long"):
        return number
    if kind == "timestamp":
        form = shape.timestamp_format or "iso8601"
        return lambda value: timestamps.render(value, form)
    return lambda value: escape(value if isinstance(value, str) else str(value))
