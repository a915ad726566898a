"""LookupEvents, and what can be said truly of trails: there are none."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

from havre.control.operation import Answer, Call, Operations, Request
from havre.control.paging import Paging
from havre.kernel.errors import ApiError
from havre.services.cloudtrail.present import event_id, lookup_entry, named_resources, source_host, username
from havre.services.cloudtrail.trail import RETENTION_MS, Event, decode, stream
from havre.store.ports import Part

ops = Operations()
PAGE, BATCH = 50, 2_000
SHORTEST, LONGEST = 3, 128
_NAME = re.compile(r"[A-Za-z0-9._-]+")
LOOKED_THROUGH = 100_000
"""Events after which a page ends, found or not: the rest is the next page's, as on AWS."""
_PAGING = Paging("MaxResults", "NextToken", "InvalidNextTokenException", "Invalid NextToken.")


_TESTS: dict[str, Callable[[Event, str], bool]] = {
    "EventId": lambda e, v: event_id(e) == v,
    "EventName": lambda e, v: e.name == v,
    "ReadOnly": lambda e, v: ("true" if e.read_only else "false") == v.lower(),
    "Username": lambda e, v: username(e.identity) == v,
    "ResourceType": lambda e, v: any(t == v for t, _ in named_resources(e)),
    "ResourceName": lambda e, v: any(n == v for _, n in named_resources(e)) or v in e.resources,
    "EventSource": lambda e, v: source_host(e.source) == v,
    "AccessKeyId": lambda e, v: e.identity.access_key == v,
}


def _test(request: Request) -> Callable[[Event], bool]:
    attributes = request.get("LookupAttributes") or []
    if len(attributes) > 1:
        raise ApiError("InvalidLookupAttributesException", "You can specify only one lookup attribute.")
    if not attributes:
        return lambda _e: True
    key, value = attributes[0]["AttributeKey"], attributes[0]["AttributeValue"]
    test = _TESTS.get(key)
    if test is None or not value:
        raise ApiError("InvalidLookupAttributesException", f"Invalid lookup attribute: {key}.")
    return lambda e: test(e, value)


@ops("LookupEvents", read_only=True)
async def lookup_events(call: Call, request: Request) -> Answer:
    limit = request.get("MaxResults", PAGE)
    if not 1 <= limit <= PAGE:
        raise ApiError("InvalidMaxResultsException", "MaxResults must be between 1 and 50.")
    if request.get("EventCategory") == "insight":
        return {"Events": []}
    start, end = request.get("StartTime"), request.get("EndTime")
    if start is not None and end is not None and start > end:
        raise ApiError("InvalidTimeRangeException", "Start time must be before or equal to end time.")
    oldest = int(call.now * 1000) - RETENTION_MS
    since = max(oldest, int(start * 1000)) if start is not None else oldest
    until = (int(end) + 1) * 1000 if end is not None else None  # the second of EndTime is included
    place, test = _PAGING.read(call, request), _test(request)
    after: tuple[int, int] | None = tuple(place) if place else None
    events: list[dict[str, Any]] = []
    for _ in range(0, LOOKED_THROUGH, BATCH):
        part = Part(since, until, after, reverse=True)
        entries = await call.journal.scan(stream(call.account, call.region), part, limit=BATCH)
        for entry in entries:
            after = (entry.at, entry.seq)
            event = decode(entry.data)
            if test(event):
                events.append(lookup_entry(event))
            if len(events) == limit:
                return {"Events": events, "NextToken": _PAGING.write(call, request, after)}
        if len(entries) < BATCH:
            return {"Events": events}
        await asyncio.sleep(0)  # others want their turn
    return {"Events": events, "NextToken": _PAGING.write(call, request, after)}


@ops("DescribeTrails", read_only=True)
async def describe_trails(call: Call, request: Request) -> Answer:
    return {"trailList": []}


@ops("ListTrails", read_only=True)
async def list_trails(call: Call, request: Request) -> Answer:
    return {"Trails": []}


@ops("GetTrail", read_only=True)
async def get_trail(call: Call, request: Request) -> Answer:
    raise _unknown(call, request["Name"])


@ops("GetTrailStatus", read_only=True)
async def get_trail_status(call: Call, request: Request) -> Answer:
    name = request["Name"]
    raise _unknown(call, name if name.startswith("arn:") else call.arn(f"trail/{name}"), name)


def _unknown(call: Call, told: str, name: str = "") -> ApiError:
    """``told`` names the trail that is not there; one whose ``name`` no trail can have is refused for that."""
    wrong = _wrong(name or told)
    if wrong:
        return ApiError("InvalidTrailNameException", wrong)
    return ApiError("TrailNotFoundException", f"Unknown trail: {told} for the user: {call.account}")


def _wrong(name: str) -> str:
    """What is wrong with a trail's name or ARN, "" for nothing."""
    name = name.rpartition(":trail/")[2]
    length = f"Specified name length: {len(name)} characters."
    if len(name) < SHORTEST:
        return f"Trail name too short. Minimum allowed length: {SHORTEST} characters. {length}"
    if len(name) > LONGEST:
        return f"Trail name too long. Maximum allowed length: {LONGEST} characters. {length}"
    for end, what in ((name[0], "starts"), (name[-1], "ends")):
        if not (end.isascii() and end.isalnum()):
            return f"Trail name must {what} with a letter or number."
    if not _NAME.fullmatch(name):
        return (
            "Trail name or ARN can only contain uppercase letters, lowercase letters, numbers, periods (.), hyphens (-), "
            "and underscores (_)."
        )
    return ""
