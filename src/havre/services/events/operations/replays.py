"""Replays: archived events, put on their bus again."""

from __future__ import annotations

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.kernel.errors import ApiError
from havre.services.events import present
from havre.services.events.errors import exists, missing, validation
from havre.services.events.names import Place, of_replay, own_bus
from havre.services.events.paging import page
from havre.services.events.resources import ARCHIVE, REPLAY, Replay, ReplayRecord, ReplayStatus
from havre.store.ports import Reader, Transaction

ops = Operations()
ENDED = ("COMPLETED", "CANCELLED", "FAILED")


def _found(call: Call, name: str, reader: Reader | None = None) -> ReplayRecord:
    found = (reader or call.store).get(REPLAY, call.account, call.region, name)
    if found is None:
        raise missing(f"Replay {name} does not exist.")
    return found


@ops("StartReplay", resources=of_replay)
async def start_replay(call: Call, request: Request) -> Answer:
    name, source, to = request["ReplayName"], request["EventSourceArn"], request["Destination"]
    archive = call.store.get(ARCHIVE, call.account, call.region, source.rpartition("/")[2])
    if archive is None or archive.meta.arn != source:
        told = f"Archive {source.rpartition('/')[2]} does not exist."
        raise validation(f"Parameter EventSourceArn is not valid. Reason: {told}")
    if own_bus(call, to["Arn"], call.store).arn != Place(call.account, call.region, archive.spec.bus).arn:
        raise validation("Parameter Destination.Arn is not valid. Reason: Cross event bus replay is not permitted.")
    begin, end = request["EventStartTime"], request["EventEndTime"]
    if begin >= end:
        raise validation("Parameter EventEndTime is not valid. Reason: EventStartTime must be before EventEndTime.")
    filters = tuple(to.get("FilterArns") or ())
    spec = Replay(source, archive.spec.bus, begin, end, filters, request.get("Description") or "")
    arn = call.arn(f"replay/{name}")

    def change(tx: Transaction) -> ReplayRecord:
        if tx.get(REPLAY, call.account, call.region, name) is not None:
            raise exists(f"Replay {name} already exists.")
        key = {"account": call.account, "region": call.region, "name": name}
        return tx.create(REPLAY, **key, arn=arn, spec=spec, status=ReplayStatus())

    made = await call.store.transact(change)
    return {"ReplayArn": arn, "State": "STARTING", "ReplayStartTime": made.meta.created}


@ops("CancelReplay", resources=of_replay)
async def cancel_replay(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> ReplayRecord:
        found = _found(call, request["ReplayName"], tx)
        if found.spec.cancelled or found.status.state in ENDED:
            raise ApiError(
                "IllegalStatusException", f"Replay {found.meta.name} is not in a valid state for this operation."
            )
        status = replace(found.status, state="CANCELLING")
        return tx.update(found, spec=replace(found.spec, cancelled=True), status=status)

    found = await call.store.transact(change)
    return {"ReplayArn": found.meta.arn, "State": "CANCELLING"}


@ops("DescribeReplay", resources=of_replay)
async def describe_replay(call: Call, request: Request) -> Answer:
    found = _found(call, request["ReplayName"])
    bus = Place(call.account, call.region, found.spec.bus).arn
    return {
        **present.replay(found),
        "ReplayArn": found.meta.arn,
        "Description": found.spec.description or None,
        "Destination": {"Arn": bus, "FilterArns": list(found.spec.rules) or None},
    }


@ops("ListReplays")
async def list_replays(call: Call, request: Request) -> Answer:
    given = [k for k in ("NamePrefix", "EventSourceArn", "State") if request.get(k)]
    if len(given) > 1:
        raise validation("At most one filter is allowed for ListReplays: State, EventSourceArn or NamePrefix.")
    found = [
        r
        for r in call.store.list(REPLAY, call.account, call.region)
        if r.meta.name.startswith(request.get("NamePrefix") or "")
        and request.get("EventSourceArn") in (None, r.spec.archive)
        and request.get("State") in (None, r.status.state)
    ]
    shown, token = page(call, request, found, lambda r: r.meta.name)
    return {"Replays": [present.replay(r) for r in shown], "NextToken": token}
