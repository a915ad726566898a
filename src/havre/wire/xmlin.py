"""Requests in XML (rest-xml). Expat reads; a document type declaration is refused, and with it every entity."""

from __future__ import annotations

from collections.abc import Callable
from pyexpat import ExpatError, ParserCreate
from typing import Any

from havre.wire import timestamps
from havre.wire.checks import INTEGERS
from havre.wire.convert import Mismatch, blob_from_base64
from havre.wire.shapes import Shape

_DEEPEST = 128


class XmlError(ValueError):
    """Bytes that are no XML, or XML of a kind that is refused."""


class Element:
    """``name`` without its namespace prefix; ``text`` is all text directly within."""

    __slots__ = ("attributes", "children", "name", "parts")

    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        self.name = name
        self.attributes = attributes
        self.children: list[Element] = []
        self.parts: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self.parts)


def read(data: bytes) -> Element:
    """Raises XmlError."""
    root = Element("", {})
    open_elements = [root]

    def start(name: str, attributes: dict[str, str]) -> None:
        if len(open_elements) > _DEEPEST:
            raise XmlError("nested too deeply")
        element = Element(name.rpartition(":")[2], attributes)
        open_elements[-1].children.append(element)
        open_elements.append(element)

    def refuse(*_: object) -> None:
        raise XmlError("document type declarations are not accepted")

    parser = ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda name: open_elements.pop()
    parser.CharacterDataHandler = lambda text: open_elements[-1].parts.append(text)
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except XmlError:
        raise
    except (
        ExpatError,
        LookupError,
        ValueError,
    ) as error:  # encodings that nobody knows, or of several bytes a character
        raise XmlError(str(error)) from None
    return root.children[0]


Parse = Callable[[Element], Any]


class XmlReader:
    """Elements into the model's values; compiled once for each shape."""

    def __init__(self) -> None:
        self._structures: dict[str, Parse] = {}

    def of(self, shape: Shape) -> Parse:
        kind = shape.type
        if kind == "structure":
            return self.structure(shape)
        if kind == "list":
            return self._list(shape)
        if kind == "map":
            return self._map(shape)
        return _LEAVES.get(kind, _string)

    def structure(self, shape: Shape) -> Parse:
        made = self._structures.get(shape.name)
        if made is not None:
            return made
        fields: dict[str, tuple[str, Parse, bool]] = {}
        attributes: list[tuple[str, str]] = []
        known = False

        def structure(element: Element) -> dict[str, Any]:
            nonlocal known
            if not known:
                self._fields(shape, fields, attributes)
                known = True
            parsed: dict[str, Any] = {}
            for name, wire in attributes:
                if wire in element.attributes:
                    parsed[name] = element.attributes[wire]
            for child in element.children:
                field = fields.get(child.name)
                if field is None:
                    continue
                name, parse, several = field
                if several and name in parsed:
                    more = parse(child)
                    parsed[name] = parsed[name] | more if isinstance(more, dict) else parsed[name] + more
                else:
                    parsed[name] = parse(child)
            return parsed

        self._structures[shape.name] = structure
        return structure

    def _fields(
        self, shape: Shape, fields: dict[str, tuple[str, Parse, bool]], attributes: list[tuple[str, str]]
    ) -> None:
        for name, member in shape.members.items():
            if member.location:
                continue
            if member.traits.get("xmlAttribute"):
                attributes.append((name, member.wire_name or name))
                continue
            several = member.flattened and member.type in ("list", "map")
            parse = self._flattened(member) if several else self.of(member)
            fields[member.element_name(name)] = (name, parse, several)
            fields.setdefault(member.wire_name or name, (name, parse, several))

    def _flattened(self, shape: Shape) -> Parse:
        """One element of a flattened list or map."""
        if shape.type == "map":
            return self._map(shape)
        each: Parse | None = None

        def parse(element: Element) -> list[Any]:
            nonlocal each
            if each is None:
                each = self.of(shape.member)
            return [each(element)]

        return parse

    def _list(self, shape: Shape) -> Parse:
        each: Parse | None = None

        def parse(element: Element) -> list[Any]:
            nonlocal each
            if each is None:
                each = self.of(shape.member)
            return [each(child) for child in element.children]

        return parse

    def _map(self, shape: Shape) -> Parse:
        keys, values = shape.key.wire_name or "key", shape.value.wire_name or "value"
        each: Parse | None = None

        def parse(element: Element) -> dict[str, Any]:
            nonlocal each
            if each is None:
                each = self.of(shape.value)
            parsed = {}
            for entry in [element] if shape.flattened else element.children:
                parts = {child.name: child for child in entry.children}
                if keys not in parts or values not in parts:
                    raise Mismatch(f"{element.name} has an entry without {keys} or {values}")
                parsed[parts[keys].text] = each(parts[values])
            return parsed

        return parse


def _string(element: Element) -> str:
    return element.text


def boolean(text: str) -> bool:
    if text.strip().lower() not in ("true", "false"):
        raise Mismatch(f"{text[:40]!r} is not a boolean")
    return text.strip().lower() == "true"


def integer(kind: str) -> Callable[[str], int]:
    low, high = INTEGERS.get(kind, INTEGERS["long"])

    def parse(text: str) -> int:
        text = text.strip()
        digits = text.removeprefix("-").removeprefix("+")
        if not (digits.isascii() and digits.isdecimal() and len(digits) < 25 and low <= int(text) <= high):
            raise Mismatch(f"{text[:40]!r} is not an integer within range")
        return int(text)

    return parse


def double(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise Mismatch(f"{text[:40]!r} is not a number") from None


def timestamp(text: str) -> float:
    try:
        return timestamps.parse(text)
    except (ValueError, OverflowError):
        raise Mismatch(f"{text[:40]!r} is not a timestamp") from None


def leaf(shape: Shape) -> Callable[[str], Any]:
    """Text of a header, query parameter or path label into a value that has no parts."""
    return TEXT.get(shape.type, str)


TEXT: dict[str, Callable[[str], Any]] = {
    "boolean": boolean,
    "integer": integer("integer"),
    "long": integer("long"),
    "float": double,
    "double": double,
    "timestamp": timestamp,
    "blob": blob_from_base64,
}


def _on_element(parse: Callable[[str], Any]) -> Parse:
    return lambda element: parse(element.text)


_LEAVES: dict[str, Parse] = {kind: _on_element(parse) for kind, parse in TEXT.items()}
