"""Typed reads of the store."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from havre.control.operation import Call
from havre.kernel.resource import scoped
from havre.services.logs.errors import no_group, no_stream
from havre.services.logs.resources import GROUP, STREAM, Group, Stream, stream_name
from havre.store.ports import Reader

DAY_MS = 86_400_000


def group(call: Call, name: str, reader: Reader | None = None) -> Group:
    """Raises ApiError ResourceNotFoundException."""
    found = (reader or call.store).get(GROUP, call.account, call.region, name)
    if found is None:
        raise no_group()
    return found


def stream(call: Call, group_name: str, name: str, reader: Reader | None = None) -> Stream:
    """Raises ApiError ResourceNotFoundException."""
    found = (reader or call.store).get(STREAM, call.account, call.region, stream_name(group_name, name))
    if found is None:
        raise no_stream()
    return found


def streams(call: Call, group_name: str, prefix: str = "") -> Sequence[Stream]:
    """In the order of names, those that begin with ``prefix``."""
    every = call.store.find(STREAM, "group", scoped(call.account, call.region, group_name))
    if not prefix:
        return every
    first = bisect_left(every, prefix, key=lambda r: r.spec.stream)
    last = bisect_left(every, prefix + "\U0010ffff", key=lambda r: r.spec.stream)
    return every[first:last]


def oldest(found: Group, now: float) -> int:
    """Milliseconds: events before this are over by the group's retention."""
    return 0 if not found.spec.retention else int(now * 1000) - found.spec.retention * DAY_MS
