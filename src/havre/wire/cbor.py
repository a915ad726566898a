"""CBOR (RFC 8949), as far as smithy-rpc-v2-cbor uses it."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from typing import Any

from havre.wire.shapes import Shape

_DEEPEST = 128
Write = Callable[[Any, bytearray], None]


class CborError(ValueError):
    """Bytes that are no CBOR, or hold what the protocol has no word for."""


def decode(data: bytes) -> Any:
    """One data item: dict, list, str, bytes, int, float, bool, None; timestamps (tag 1) are floats. Raises CborError."""
    try:
        value, end = _Reader(data).item(0, 0)
    except (IndexError, struct.error, UnicodeDecodeError, TypeError):
        raise CborError("the data ends early or is not CBOR") from None
    if end != len(data):
        raise CborError("there is more behind the data item")
    return value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def item(self, at: int, depth: int) -> tuple[Any, int]:
        if depth > _DEEPEST:
            raise CborError("nested too deeply")
        first = self._data[at]
        major, info = first >> 5, first & 31
        if major == 7:
            return self._simple(info, at + 1)
        if info == 31:
            return self._indefinite(major, at + 1, depth)
        number, at = self._number(info, at + 1)
        if major == 0:
            return number, at
        if major == 1:
            return -1 - number, at
        if major in (2, 3):
            return self._string(major, at, number)
        if major == 4:
            return self._array(at, number, depth)
        if major == 5:
            return self._map(at, number, depth)
        return self._tagged(number, at, depth)

    def _number(self, info: int, at: int) -> tuple[int, int]:
        if info < 24:
            return info, at
        if info > 27:
            raise CborError("malformed length")
        size = 1 << (info - 24)
        if at + size > len(self._data):
            raise CborError("the data ends early")
        return int.from_bytes(self._data[at : at + size], "big"), at + size

    def _string(self, major: int, at: int, length: int) -> tuple[Any, int]:
        end = at + length
        if end > len(self._data):
            raise CborError("the data ends early")
        data = self._data[at:end]
        return (data if major == 2 else data.decode()), end

    def _array(self, at: int, count: int, depth: int) -> tuple[list[Any], int]:
        items = []
        for _ in range(min(count, len(self._data))):
            one, at = self.item(at, depth + 1)
            items.append(one)
        if len(items) != count:
            raise CborError("the data ends early")
        return items, at

    def _map(self, at: int, count: int, depth: int) -> tuple[dict[str, Any], int]:
        items: dict[str, Any] = {}
        if count > len(self._data):
            raise CborError("the data ends early")
        for _ in range(count):
            at = self._entry(items, at, depth)
        return items, at

    def _entry(self, items: dict[str, Any], at: int, depth: int) -> int:
        key, at = self.item(at, depth + 1)
        if not isinstance(key, str):
            raise CborError("keys have to be text")
        items[key], at = self.item(at, depth + 1)
        return at

    def _indefinite(self, major: int, at: int, depth: int) -> tuple[Any, int]:
        parts: list[Any] = []
        items: dict[str, Any] = {}
        while self._data[at] != 0xFF:
            if major == 5:
                at = self._entry(items, at, depth)
                continue
            if major in (2, 3) and (self._data[at] >> 5 != major or self._data[at] & 31 == 31):
                raise CborError("malformed string")
            one, at = self.item(at, depth + 1)
            parts.append(one)
        if major not in (2, 3, 4, 5):
            raise CborError("malformed length")
        if major == 5:
            return items, at + 1
        return (parts if major == 4 else b"".join(parts) if major == 2 else "".join(parts)), at + 1

    def _tagged(self, tag: int, at: int, depth: int) -> tuple[Any, int]:
        value, at = self.item(at, depth + 1)
        if tag != 1:
            raise CborError(f"tag {tag} has no meaning here")
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise CborError("a timestamp has to be a number")
        return float(value), at

    def _simple(self, info: int, at: int) -> tuple[Any, int]:
        if info in (20, 21, 22, 23):
            return {20: False, 21: True}.get(info), at
        form = {25: ">e", 26: ">f", 27: ">d"}.get(info)
        if form is None:
            raise CborError("malformed simple value")
        size = struct.calcsize(form)
        return struct.unpack_from(form, self._data, at)[0], at + size


def encode(value: Any) -> bytes:
    """Any value, by its own type."""
    out = bytearray()
    write_any(value, out)
    return bytes(out)


def head(major: int, number: int, out: bytearray) -> None:
    if number < 24:
        out.append(major << 5 | number)
        return
    size = 0 if number < 1 << 8 else 1 if number < 1 << 16 else 2 if number < 1 << 32 else 3
    out.append(major << 5 | 24 + size)
    out += number.to_bytes(1 << size, "big")


def write_any(value: Any, out: bytearray) -> None:
    if value is None or value is True or value is False:
        out.append(0xF6 if value is None else 0xF5 if value else 0xF4)
    elif isinstance(value, int):
        _write_integer(value, out)
    elif isinstance(value, float):
        _write_double(value, out)
    elif isinstance(value, str):
        _write_text(value, out)
    elif isinstance(value, (bytes, bytearray)):
        _write_bytes(value, out)
    elif isinstance(value, Mapping):
        head(5, len(value), out)
        for key, one in value.items():
            _write_text(str(key), out)
            write_any(one, out)
    else:
        head(4, len(value), out)
        for one in value:
            write_any(one, out)


def _write_integer(value: int, out: bytearray) -> None:
    if value >= 0:
        head(0, value, out)
    else:
        head(1, -1 - value, out)


def _write_double(value: float, out: bytearray) -> None:
    if math.isfinite(value):
        out += b"\xfb" + struct.pack(">d", value)
    else:
        out += b"\xf9" + struct.pack(">e", value)


def _write_text(value: str, out: bytearray) -> None:
    data = value.encode("utf-8", "replace")
    head(3, len(data), out)
    out += data


def _write_bytes(value: bytes | bytearray, out: bytearray) -> None:
    head(2, len(value), out)
    out += value


def _write_timestamp(value: float, out: bytearray) -> None:
    out.append(0xC1)
    if value == int(value):
        _write_integer(int(value), out)
    else:
        _write_double(float(value), out)


def _write_boolean(value: Any, out: bytearray) -> None:
    out.append(0xF5 if value else 0xF4)


class CborWriter:
    """Values of the model into CBOR, without None; compiled once for each shape."""

    def __init__(self) -> None:
        self._structures: dict[str, Write] = {}

    def of(self, shape: Shape) -> Write:
        kind = shape.type
        if kind == "structure":
            return write_any if shape.document else self.structure(shape)
        if kind == "list":
            return self._list(shape)
        if kind == "map":
            return self._map(shape)
        leaves: dict[str, Write] = {
            "blob": _write_bytes,
            "boolean": _write_boolean,
            "double": lambda value, out: _write_double(float(value), out),
            "float": lambda value, out: _write_double(float(value), out),
            "integer": _write_integer,
            "long": _write_integer,
            "timestamp": _write_timestamp,
        }
        return leaves.get(kind, _write_text)

    def structure(self, shape: Shape) -> Write:
        made = self._structures.get(shape.name)
        if made is not None:
            return made
        fields: dict[str, tuple[str, Write]] | None = None

        def structure(value: Mapping[str, Any], out: bytearray) -> None:
            nonlocal fields
            if fields is None:
                members = shape.members.items()
                fields = {n: (m.wire_name or n, self.of(m)) for n, m in members if not m.event_stream}
            present = [(fields[n], one) for n, one in value.items() if one is not None and n in fields]
            head(5, len(present), out)
            for (key, write), one in present:
                _write_text(key, out)
                write(one, out)

        self._structures[shape.name] = structure
        return structure

    def _list(self, shape: Shape) -> Write:
        each: Write | None = None

        def write(value: Any, out: bytearray) -> None:
            nonlocal each
            if each is None:
                each = self.of(shape.member)
            head(4, len(value), out)
            for one in value:
                if one is None:
                    out.append(0xF6)
                else:
                    each(one, out)

        return write

    def _map(self, shape: Shape) -> Write:
        each: Write | None = None

        def write(value: Mapping[str, Any], out: bytearray) -> None:
            nonlocal each
            if each is None:
                each = self.of(shape.value)
            head(5, len(value), out)
            for key, one in value.items():
                _write_text(key, out)
                if one is None:
                    out.append(0xF6)
                else:
                    each(one, out)

        return write


def encode_error(shape: Shape, body: Mapping[str, Any]) -> bytes:
    """A modelled error: ``__type`` and the shape's members."""
    out, writer = bytearray(), CborWriter()
    known = shape.members
    present = [(name, one) for name, one in body.items() if one is not None]
    head(5, len(present), out)
    for name, one in present:
        member = known.get(name)
        _write_text(member.wire_name or name if member else name, out)
        (writer.of(member) if member else write_any)(one, out)
    return bytes(out)
