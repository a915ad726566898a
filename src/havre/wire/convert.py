"""Values of a self-describing encoding (JSON, CBOR) into the model's types, and back.

Compiled once for each shape. What does not fit the model's types raises Mismatch, in the words of AWS's front.
"""

from __future__ import annotations

import binascii
import math
from collections.abc import Callable, Mapping
from typing import Any

from havre.wire import timestamps
from havre.wire.checks import INTEGERS
from havre.wire.shapes import Shape

Convert = Callable[[Any], Any]


class Mismatch(ValueError):
    """A value that is not of the model's type."""


def _token(value: Any) -> str:
    if value is True or value is False:
        return "TRUE_VALUE" if value else "FALSE_VALUE"
    if isinstance(value, str):
        return "STRING_VALUE"
    if isinstance(value, int):
        return "NUMBER_VALUE"
    return "DECIMAL_VALUE" if isinstance(value, float) else "BINARY_VALUE"


def _refuse(value: Any, wanted: str) -> Mismatch:
    if isinstance(value, dict):
        return Mismatch("Start of structure or map found where not expected.")
    if isinstance(value, list):
        return Mismatch("Start of list found where not expected")
    return Mismatch(f"{_token(value)} can not be converted to {wanted}")


def _string(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise _refuse(value, "a String")


def _boolean(value: Any) -> bool:
    if value is True or value is False:
        return value
    raise _refuse(value, "a Boolean")


def _integer(kind: str) -> Convert:
    low, high = INTEGERS.get(kind, INTEGERS["long"])
    wanted = "a Long" if kind == "long" else "an Integer"

    def integer(value: Any) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise _refuse(value, wanted)
        if not low <= value <= high:
            raise Mismatch(f"{_token(value)} can not be converted to {wanted}: out of range")
        return value

    return integer


_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def _float(value: Any) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise Mismatch("NUMBER_VALUE can not be converted to a Double: out of range") from None
    if isinstance(value, str) and value in _SPECIAL:
        return _SPECIAL[value]
    raise _refuse(value, "a Double")


def _timestamp(value: Any) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        number = _float(value)
        if not math.isfinite(number):
            raise Mismatch(f"{_token(value)} can not be converted to a Timestamp")
        return number
    if isinstance(value, str):
        try:
            return timestamps.parse(value)
        except (ValueError, OverflowError):
            raise Mismatch("STRING_VALUE can not be converted to a Timestamp") from None
    raise _refuse(value, "a Timestamp")


def blob_from_base64(value: Any) -> bytes:
    if not isinstance(value, str):
        raise _refuse(value, "a Blob")
    try:
        return binascii.a2b_base64(value.encode(), strict_mode=bool(value))
    except (binascii.Error, ValueError):
        raise Mismatch("STRING_VALUE can not be converted to a Blob: not base64") from None


def _blob(value: Any) -> bytes:
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    raise _refuse(value, "a Blob")


def wire_name(name: str, shape: Shape) -> str:
    """A member's key in a JSON or CBOR object: its own name unless the reference renames it."""
    return shape.wire_name if shape.wire_name and not shape.location else name


class Inward:
    """Decoded JSON (``base64`` blobs) or CBOR into the model's values. Unknown members and nulls are left out."""

    def __init__(self, base64: bool) -> None:
        self._blob: Convert = blob_from_base64 if base64 else _blob
        self._structures: dict[str, Convert] = {}

    def of(self, shape: Shape) -> Convert:
        kind = shape.type
        if kind == "structure":
            return (lambda value: value) if shape.document else self.structure(shape)
        if kind == "list":
            return self._list(shape)
        if kind == "map":
            return self._map(shape)
        if kind in ("integer", "long"):
            return _integer(kind)
        leaves = {"boolean": _boolean, "float": _float, "double": _float, "timestamp": _timestamp, "blob": self._blob}
        return leaves.get(kind, _string)

    def structure(self, shape: Shape) -> Convert:
        made = self._structures.get(shape.name)
        if made is not None:
            return made
        fields: list[tuple[str, str, Convert]] | None = None

        def structure(value: Any) -> dict[str, Any]:
            nonlocal fields
            if not isinstance(value, dict):
                raise _structure_expected(value)
            if fields is None:
                members = shape.members.items()
                fields = [(wire_name(n, m), n, self.of(m)) for n, m in members if not m.location and not m.event_stream]
            parsed = {}
            for key, name, convert in fields:
                inner = value.get(key)
                if inner is not None:
                    parsed[name] = convert(inner)
            return parsed

        self._structures[shape.name] = structure
        return structure

    def _list(self, shape: Shape) -> Convert:
        each: Convert | None = None

        def convert(value: Any) -> list[Any]:
            nonlocal each
            if not isinstance(value, list):
                raise Mismatch("Expected list or null") if not isinstance(value, dict) else _refuse(value, "")
            if each is None:
                each = self.of(shape.member)
            return [each(one) if one is not None else None for one in value]

        return convert

    def _map(self, shape: Shape) -> Convert:
        each: Convert | None = None

        def convert(value: Any) -> dict[str, Any]:
            nonlocal each
            if not isinstance(value, dict):
                raise _structure_expected(value)
            if each is None:
                each = self.of(shape.value)
            return {_string(key): each(one) if one is not None else None for key, one in value.items()}

        return convert


def _structure_expected(value: Any) -> Mismatch:
    if isinstance(value, list):
        return Mismatch("Start of list found where not expected")
    return Mismatch("Unexpected field type: expected a structure or map")


class Outward:
    """The model's values into what a JSON encoder takes: renamed, without None, timestamps in their form."""

    def __init__(self, timestamp_form: str = "unixtimestamp") -> None:
        self._form = timestamp_form
        self._structures: dict[str, Convert] = {}

    def of(self, shape: Shape) -> Convert | None:
        """None where the value goes out as it is."""
        kind = shape.type
        if kind == "structure":
            return None if shape.document else self.structure(shape)
        if kind == "list":
            return self._list(shape)
        if kind == "map":
            return self._map(shape)
        if kind in ("float", "double"):
            return _special
        if kind == "timestamp" and (shape.timestamp_format or self._form) != "unixtimestamp":
            form = shape.timestamp_format or self._form
            return lambda value: timestamps.render(value, form)
        return None

    def structure(self, shape: Shape) -> Convert:
        made = self._structures.get(shape.name)
        if made is not None:
            return made
        fields: dict[str, tuple[str, Convert | None]] | None = None

        def structure(value: Mapping[str, Any]) -> dict[str, Any]:
            nonlocal fields
            if fields is None:
                members = shape.members.items()
                fields = {
                    n: (wire_name(n, m), self.of(m)) for n, m in members if not m.answer_location and not m.event_stream
                }
            rendered = {}
            for name, inner in value.items():
                field = fields.get(name)
                if inner is not None and field is not None:
                    key, convert = field
                    rendered[key] = inner if convert is None else convert(inner)
            return rendered

        self._structures[shape.name] = structure
        return structure

    def _list(self, shape: Shape) -> Convert:
        each: Convert | None = None
        known = False

        def convert(value: Any) -> list[Any]:
            nonlocal each, known
            if not known:
                each, known = self.of(shape.member), True
            return list(value) if each is None else [None if one is None else each(one) for one in value]

        return convert

    def _map(self, shape: Shape) -> Convert:
        each: Convert | None = None
        known = False

        def convert(value: Mapping[str, Any]) -> dict[str, Any]:
            nonlocal each, known
            if not known:
                each, known = self.of(shape.value), True
            return {key: one if each is None or one is None else each(one) for key, one in value.items()}

        return convert


def _special(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
