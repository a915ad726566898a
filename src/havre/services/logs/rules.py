"""Pure validation: what PutLogEvents takes, what it turns away, retention."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from havre.services.logs.errors import invalid
from havre.services.logs.events import OVERHEAD

BATCH_BYTES = EVENT_BYTES = 1 << 20
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
FUTURE_MS, PAST_MS = 2 * HOUR_MS, 14 * DAY_MS
RETENTIONS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
)  # fmt: skip


class Taken(NamedTuple):
    """``first`` to ``last`` (exclusive) are the events that are kept; ``rejected`` is rejectedLogEventsInfo, if any."""

    first: int
    last: int
    rejected: Mapping[str, int] | None


def sizes(lengths: Sequence[int]) -> None:
    """``lengths`` of the messages in UTF-8. Raises ApiError when one event or all together are too large."""
    if max(lengths) + OVERHEAD > EVENT_BYTES:
        raise invalid(f"Log event too large: {max(lengths) + OVERHEAD} bytes exceeds limit of {EVENT_BYTES}")
    total = sum(lengths) + OVERHEAD * len(lengths)
    if total > BATCH_BYTES:
        raise invalid(f"Upload too large: {total} bytes exceeds limit of {BATCH_BYTES}")


def window(times: Sequence[int], now: int, oldest: int) -> Taken:
    """``oldest``: what is before it is over by the group's retention. Raises ApiError for times out of order, or too far
    apart. All in milliseconds."""
    if any(map(int.__gt__, times, times[1:])):
        raise invalid("Log events in a single PutLogEvents request must be in chronological order.")
    old = bisect_left(times, now - PAST_MS)
    expired = bisect_left(times, oldest)
    new = bisect_right(times, now + FUTURE_MS)
    first, last = max(old, expired), new
    if first < last and times[last - 1] - times[first] > DAY_MS:
        raise invalid("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
    rejected: dict[str, int] = {}
    if new < len(times):
        rejected["tooNewLogEventStartIndex"] = new
    if old:
        rejected["tooOldLogEventEndIndex"] = old
    if expired:
        rejected["expiredLogEventEndIndex"] = expired
    return Taken(first, last, rejected or None)


def retention(days: int) -> int:
    """Raises ApiError for a number of days that AWS does not offer."""
    if days not in RETENTIONS:
        allowed = ", ".join(map(str, RETENTIONS))
        raise invalid(
            f"1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy constraint: "
            f"Member must satisfy enum value set: [{allowed}]"
        )
    return days
