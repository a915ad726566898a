"""StartLiveTail: events as they come in."""

from __future__ import annotations

from functools import partial

from havre.control.operation import Answer, Call, Operations, Request
from havre.kernel.errors import ApiError
from havre.services.logs import names, queries
from havre.services.logs.errors import invalid
from havre.services.logs.operations.patterns import compiled
from havre.services.logs.tails import Session, Tails, Wanted


async def start_live_tail(tails: Tails, call: Call, request: Request) -> Answer:
    wanted = _wanted(call, request)
    session = Session(wanted, compiled(request.get("logEventFilterPattern", "")).matches)
    if tails.full(call.account):
        raise ApiError("LimitExceededException", "There are too many Live Tail sessions in this account.")
    start = {k: v for k, v in request.items() if v is not None}
    start |= {"requestId": call.request_id, "sessionId": call.world.uuid()}
    return {"responseStream": tails.events(session, start, call.world.now)}


def _wanted(call: Call, request: Request) -> Wanted:
    arns = request["logGroupIdentifiers"]
    chosen, prefixes = request.get("logStreamNames"), request.get("logStreamNamePrefixes")
    if chosen is not None and prefixes is not None:
        raise invalid("logStreamNames and logStreamNamePrefixes are mutually exclusive parameters.")
    if (chosen or prefixes) and len(arns) > 1:
        raise invalid("Log streams can be chosen only when exactly one log group is.")
    for arn in arns:
        if not arn.startswith("arn:"):
            raise invalid(f"The log group identifier '{arn}' is not an ARN.")
        group = queries.group(call, names.identified(call, arn))
        if group.spec.group_class != "STANDARD":
            raise ApiError(
                "InvalidOperationException", "Live Tail is supported only for log groups of the Standard class."
            )
    return Wanted(call.account, tuple(dict.fromkeys(arns)), tuple(chosen or ()), tuple(prefixes or ()))


def operations(tails: Tails) -> Operations:
    ops = Operations()
    ops("StartLiveTail", resources=names.of_groups, read_only=True, data_event=True)(partial(start_live_tail, tails))
    return ops
