"""An event in the journal (six bytes with the time of its ingestion, then the message), and what names its place there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b

from havre.services.logs.errors import bad_token
from havre.store.ports import Entry

OVERHEAD = 26
"""Bytes that an event counts besides its message."""
HEAD = 6
PAGE_BYTES, PAGE_EVENTS = 1 << 20, 10_000
_TOKEN = re.compile(r"([fb])/(-?\d{1,19})-(-?\d{1,19})/s")
Place = tuple[int, int]
"""(time in milliseconds, sequence number within the journal's stream)"""


def head(now_ms: int) -> bytes:
    """What goes before each message that is ingested now."""
    return now_ms.to_bytes(HEAD, "big")


def ingested(data: bytes) -> int:
    """Milliseconds."""
    return int.from_bytes(data[:HEAD], "big")


def message(data: bytes) -> str:
    return data[HEAD:].decode("utf-8", "replace")


def event_id(journal: str, entry: Entry) -> str:
    """Unique over all events, and rising with time: 56 digits, as on AWS."""
    where = int.from_bytes(blake2b(journal.encode(), digest_size=8).digest(), "big")
    return f"{entry.at:016d}{where:020d}{entry.seq:020d}"


def token(direction: str, place: Place) -> str:
    """``f`` goes on behind the place, ``b`` before it."""
    return f"{direction}/{place[0]}-{place[1]}/s"


def read_token(text: str) -> tuple[str, Place]:
    """Raises ApiError for what is no such token."""
    found = _TOKEN.fullmatch(text)
    if found is None:
        raise bad_token()
    return found[1], (int(found[2]), int(found[3]))


def fitting(entries: Sequence[Entry]) -> int:
    """How many of the first entries make one page: at least one, where there is one."""
    size = 0
    for n, entry in enumerate(entries):
        size += len(entry.data) - HEAD + OVERHEAD
        if size > PAGE_BYTES and n:
            return n
    return len(entries)
