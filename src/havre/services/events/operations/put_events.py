"""PutEvents and TestEventPattern."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from havre.control.operation import Answer, Call, Operations, Request
from havre.core.event_pattern import PatternError, compile
from havre.kernel.errors import ApiError, not_built
from havre.services.events import matching, metering, queries
from havre.services.events.errors import bad_pattern, validation
from havre.services.events.names import Place, about_entry, about_first_entry, bus_place, is_there, of_entries
from havre.services.events.resources import DEFAULT
from havre.store.ports import Transaction

ops = Operations()
MOST_BYTES = 1_048_576
_NEEDED = ("id", "account", "source", "time", "region", "resources", "detail-type", "detail")


class Taken(NamedTuple):
    place: Place
    event: dict[str, Any]
    hops: int


@ops("PutEvents", resources=of_entries, conditions=about_first_entry, data_event=True)
async def put_events(call: Call, request: Request) -> Answer:
    """Entries stand for themselves. Those that are taken are written down for every target that they match, or none is."""
    if request.get("EndpointId"):
        raise not_built("events", "PutEvents EndpointId")
    entries = request["Entries"]
    if sum(_size(each) for each in entries) > MOST_BYTES:
        raise validation("Total size of the entries in the request is over the limit.")
    await _check_others(call, entries)
    read = [_read(call, each) for each in entries]
    taken = [each for each in read if isinstance(each, Taken)]
    for each in taken:
        await _archive(call, each)

    def change(tx: Transaction) -> list[str]:
        return [rule for each in taken for rule in matching.route(tx, each.place, each.event, call.now, each.hops)]

    metering.matched(call.metrics, await call.store.transact(change))
    shown = [{"EventId": e.event["id"]} if isinstance(e, Taken) else e for e in read]
    return {"FailedEntryCount": len(read) - len(taken), "Entries": shown}


async def _check_others(call: Call, entries: Sequence[Mapping[str, Any]]) -> None:
    """The first entry was decided on by its source and detail type; so is each that differs in them, or in its bus."""
    decided = {_decided_by(call, entries[0])}
    for each in entries[1:]:
        if _decided_by(call, each) not in decided:
            decided.add(_decided_by(call, each))
            await call.authorize(
                "events:PutEvents", [bus_place(call, each.get("EventBusName")).arn], about_entry(call, each)
            )


def _decided_by(call: Call, entry: Mapping[str, Any]) -> tuple[str, ...]:
    return (bus_place(call, entry.get("EventBusName")).arn, *about_entry(call, entry).values())


def _size(entry: Mapping[str, Any]) -> int:
    texts = [entry.get("Source"), entry.get("DetailType"), entry.get("Detail"), *(entry.get("Resources") or ())]
    return (14 if entry.get("Time") is not None else 0) + sum(len(text.encode()) for text in texts if text)


def _read(call: Call, entry: Mapping[str, Any]) -> Taken | dict[str, str]:
    for member in ("Source", "DetailType", "Detail"):
        if not entry.get(member):
            return _refused(f"Parameter {member} is not valid. Reason: {member} is a required argument.")
    source = entry["Source"]
    if source.startswith("aws.") and not call.principal.service:
        return _refused("Not authorized for the source.", "NotAuthorizedForSourceException")
    try:
        detail = matching.detail_of(entry["Detail"])
    except ValueError:
        return _refused("Detail is malformed.", "MalformedDetail")
    here, at = Place(call.account, call.region, DEFAULT), entry.get("Time")
    event = matching.made(call.world.uuid(), here, call.now if at is None else at, entry, detail)
    return Taken(bus_place(call, entry.get("EventBusName")), event, matching.hops(entry.get("TraceHeader")))


def _refused(message: str, code: str = "InvalidArgument") -> dict[str, str]:
    return {"ErrorCode": code, "ErrorMessage": message}


async def _archive(call: Call, taken: Taken) -> None:
    """Archives keep an event before it is acknowledged."""
    if not is_there(call.store, taken.place):
        return
    now = int(call.now * 1000)
    for archive in queries.archives(call.store, taken.place):
        if not archive.spec.pattern or matching.compiled(archive.spec.pattern).matches(taken.event):
            await call.journal.append(archive.spec.journal, [(now, json.dumps(taken.event).encode())], now=now)


@ops("TestEventPattern", read_only=True)
async def test_event_pattern(call: Call, request: Request) -> Answer:
    try:
        pattern = compile(request["EventPattern"])
    except PatternError as error:
        raise bad_pattern(str(error)) from None
    try:
        event = json.loads(request["Event"])
    except (ValueError, RecursionError):
        raise validation("Parameter Event is not valid. Reason: it is not JSON.") from None
    if not isinstance(event, dict):
        raise validation("Parameter Event is not valid. Reason: it is not a JSON object.")
    absent = [name for name in _NEEDED if name not in event and name not in ("resources", "detail")]
    if absent:
        raise _incomplete(absent)
    return {"Result": pattern.matches(event)}


def _incomplete(absent: list[str]) -> ApiError:
    return validation(f"Parameter Event is not valid. Reason: it lacks {', '.join(absent)}.")
