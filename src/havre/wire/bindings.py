"""Members of REST requests and answers that travel outside of the body: path, query, headers, status."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from havre.wire import timestamps
from havre.wire.convert import Mismatch
from havre.wire.shapes import Shape
from havre.wire.xmlin import leaf
from havre.wire.xmlout import number

Pairs = Sequence[tuple[str, str]]
_DATES = re.compile(r",(?=\s*[A-Z][a-z]{2},)")
_LIST = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^,]*))\s*(?:,|$)')
_UNSAFE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class Located(msgspec.Struct, frozen=True):
    """One member: its name, place, name there, and how its text is read."""

    name: str
    place: str
    wire: str
    shape: Shape
    read: Callable[[str], Any]


def located(shape: Shape) -> list[Located]:
    """The members of a structure that are bound outside of the body."""
    found = []
    for name, member in shape.members.items():
        place = member.location
        if place:
            wire = member.wire_name or ("" if place == "headers" else name)
            wire = wire.lower() if place in ("header", "headers") else wire
            found.append(Located(name, place, wire, member, _reader(member)))
    return found


def read(
    members: Sequence[Located], labels: Mapping[str, str], query: Pairs, headers: Mapping[str, str]
) -> dict[str, Any]:
    """The values of the located members that are there. Raises Mismatch."""
    parsed: dict[str, Any] = {}
    for each in members:
        if each.place == "uri":
            if each.wire in labels:
                parsed[each.name] = each.read(labels[each.wire])
        elif each.place == "querystring":
            if query:
                _read_query(each, query, parsed)
        elif each.place == "header":
            text = headers.get(each.wire)
            if text is not None and (text or each.shape.type == "string"):
                parsed[each.name] = _list(each.shape, text) if each.shape.type == "list" else each.read(text)
        elif each.place == "headers":
            start = each.wire
            found = {name[len(start) :]: value for name, value in headers.items() if name.startswith(start)}
            if found:
                parsed[each.name] = found
    return parsed


def _read_query(each: Located, query: Pairs, parsed: dict[str, Any]) -> None:
    shape = each.shape
    if shape.type == "map":
        if shape.value.type == "list":
            several: dict[str, list[str]] = {}
            for name, value in query:
                several.setdefault(name, []).append(value)
            parsed[each.name] = several
        else:
            parsed[each.name] = dict(reversed(query))  # the first of several wins
        return
    values = [value for name, value in query if name == each.wire]
    if not values:
        return
    if shape.type == "list":
        item = leaf(shape.member)
        parsed[each.name] = [item(value) for value in values]
    else:
        parsed[each.name] = each.read(values[0])


def _reader(shape: Shape) -> Callable[[str], Any]:
    if shape.type == "string" and shape.traits.get("jsonvalue"):
        return _json_value
    return leaf(shape)


def _json_value(text: str) -> Any:
    try:
        return msgspec.json.decode(base64.b64decode(text, validate=True))
    except (ValueError, msgspec.MsgspecError, RecursionError):
        raise Mismatch("the header is not JSON in base64") from None


def _list(shape: Shape, text: str) -> list[Any]:
    member = shape.member
    if member.type == "timestamp" and member.timestamp_format in ("", "rfc822"):
        return [leaf(member)(one) for one in _DATES.split(text)]
    values = []
    at = 0
    while at < len(text):
        found = _LIST.match(text, at)
        if found is None:  # something behind a closing quote
            raise Mismatch("the header is a malformed list")
        quoted, plain = found.groups()
        values.append(re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain.strip())
        at = found.end()
    return [leaf(member)(value) for value in values]


def write_headers(members: Sequence[Located], answer: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The headers that an answer's located members make."""
    headers = []
    for each in members:
        value = answer.get(each.name)
        if value is None:
            continue
        if each.place == "header":
            headers.append((each.shape.wire_name or each.name, _clean(_text(each.shape, value))))
        elif each.place == "headers":
            start = each.shape.wire_name
            headers += [(start + _clean(name), _clean(str(one))) for name, one in value.items() if one is not None]
    return headers


def _text(shape: Shape, value: Any) -> str:
    kind = shape.type
    if kind == "boolean":
        return "true" if value else "false"
    if kind == "timestamp":
        return timestamps.render(value, shape.timestamp_format or "rfc822")
    if kind == "list":
        return ", ".join(_quoted(shape.member, one) for one in value)
    if kind == "blob":
        return base64.b64encode(value).decode()
    if shape.traits.get("jsonvalue"):
        return base64.b64encode(msgspec.json.encode(value)).decode()
    return number(value) if kind in ("float", "double") else str(value)


def _quoted(shape: Shape, value: Any) -> str:
    text = _text(shape, value)
    if shape.type == "string" and ("," in text or '"' in text):
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return text


def _clean(text: str) -> str:
    """A header's value never ends its line."""
    return _UNSAFE.sub(" ", text)
