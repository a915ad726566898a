"""DNS as a VPC's resolver speaks it: reading a question, answering it from a table of names. Pure."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from havre.kernel.addresses import address_named, number_of, private_name

A, PTR, AAAA, ANY, INTERNET = 1, 12, 28, 255, 1
NO_ERROR, FORMAT, SERVER_FAILURE, NO_NAME, NOT_IMPLEMENTED = 0, 1, 2, 3, 4
_HEADER = struct.Struct(">HHHHHH")
HEADER_BYTES = _HEADER.size
_REVERSE = ".in-addr.arpa"
PRIVATE_TTL = 5
"""Of load balancers' and private names: they change when their addresses do."""


class Question(NamedTuple):
    """``raw`` is the question section as it was asked; ``name`` in lower case, without a final dot."""

    id: int
    flags: int
    name: str
    type: int
    raw: bytes


class Names(NamedTuple):
    """What a VPC's resolver knows by itself: names → addresses, the domain of private names (""), its blocks' test."""

    table: Mapping[str, Sequence[str]]
    domain: str = ""
    private: tuple[str, ...] = ()
    """Suffixes that are answered here and nowhere else: an unknown name below one does not exist."""


def question(message: bytes) -> Question | None:
    """None for what is not a query with one question."""
    if len(message) < 17:
        return None
    id, flags, questions, *_ = _HEADER.unpack_from(message)
    if flags & 0x8000 or questions != 1:
        return None
    labels: list[str] = []
    at = _HEADER.size
    while True:
        if at >= len(message):
            return None
        length = message[at]
        at += 1
        if length == 0:
            break
        if length > 63 or at + length > len(message):
            return None
        labels.append(message[at : at + length].decode("latin-1").lower())
        at += length
    if at + 4 > len(message):
        return None
    (type,) = struct.unpack_from(">H", message, at)
    return Question(id, flags, ".".join(labels), type, message[_HEADER.size : at + 4])


def reply(asked: Question, code: int, answers: Sequence[bytes] = ()) -> bytes:
    flags = 0x8080 | (asked.flags & 0x7900) | code
    return _HEADER.pack(asked.id, flags, 1, len(answers), 0, 0) + asked.raw + b"".join(answers)


def answer(asked: Question, names: Names) -> bytes | None:
    """The whole reply; None for a name that others may know."""
    if (asked.flags >> 11) & 15:
        return reply(asked, NOT_IMPLEMENTED)
    known = addresses(asked.name, names)
    if known is not None:
        records = [_record(A, bytes(map(int, a.split(".")))) for a in known] if asked.type in (A, ANY) else []
        return reply(asked, NO_ERROR, records)
    pointed = _pointer(asked.name, names)
    if pointed is not None:
        return reply(asked, NO_ERROR, [_record(PTR, encoded(pointed))] if asked.type in (PTR, ANY) else [])
    if any(asked.name == suffix or asked.name.endswith("." + suffix) for suffix in names.private):
        return reply(asked, NO_NAME)
    return None


def addresses(name: str, names: Names) -> Sequence[str] | None:
    if name in names.table:
        return names.table[name]
    private = address_named(name, names.domain)
    return None if private is None else [private]


def _pointer(name: str, names: Names) -> str | None:
    """The private name behind ``5.0.31.172.in-addr.arpa``, for private addresses."""
    if not names.domain or not name.endswith(_REVERSE):
        return None
    address = ".".join(reversed(name.removesuffix(_REVERSE).split(".")))
    try:
        number = number_of(address)
    except ValueError:
        return None
    private = number >> 24 == 10 or number >> 20 == 0xAC1 or number >> 16 == 0xC0A8
    return private_name(address, names.domain) if private else None


def _record(type: int, data: bytes) -> bytes:
    """About the name of the question, to which it points back."""
    return struct.pack(">HHHIH", 0xC000 | _HEADER.size, type, INTERNET, PRIVATE_TTL, len(data)) + data


def encoded(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def with_id(message: bytes, id: int) -> bytes:
    """The same message under another id."""
    return struct.pack(">H", id) + message[2:]


def id_of(message: bytes) -> int:
    return int.from_bytes(message[:2], "big")
