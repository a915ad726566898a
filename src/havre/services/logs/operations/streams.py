"""Log streams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from havre.control.operation import Answer, Call, Operations, Request
from havre.kernel.resource import NoStatus
from havre.services.logs import names, present, queries
from havre.services.logs.errors import invalid, stream_exists
from havre.services.logs.paging import page
from havre.services.logs.resources import STREAM, LogStream, Stream, journals, stream_name
from havre.store.ports import Extent, Transaction

ops = Operations()


@ops("CreateLogStream", resources=names.of_stream, conditions=names.conditions)
async def create_log_stream(call: Call, request: Request) -> Answer:
    group, name = request["logGroupName"], request["logStreamName"]
    uid = call.world.hex(16)

    def change(tx: Transaction) -> None:
        found = queries.group(call, group, tx)
        if tx.get(STREAM, call.account, call.region, stream_name(group, name)) is not None:
            raise stream_exists()
        journal = journals(call.account, call.region, found.spec.uid) + uid
        key = {"account": call.account, "region": call.region, "name": stream_name(group, name)}
        arn = f"{found.meta.arn}:log-stream:{name}"
        tx.create(STREAM, **key, arn=arn, spec=LogStream(group, name, journal), status=NoStatus())

    await call.store.transact(change)
    return None


@ops("DeleteLogStream", resources=names.of_stream, conditions=names.conditions)
async def delete_log_stream(call: Call, request: Request) -> Answer:
    group, name = request["logGroupName"], request["logStreamName"]

    def change(tx: Transaction) -> str:
        queries.group(call, group, tx)
        found = queries.stream(call, group, name, tx)
        tx.remove(found)
        return found.spec.journal

    await call.journal.drop(await call.store.transact(change))
    return None


@ops("DescribeLogStreams", resources=names.of_group, conditions=names.conditions)
async def describe_log_streams(call: Call, request: Request) -> Answer:
    name, prefix = names.group_name(call, request), request.get("logStreamNamePrefix", "")
    found = queries.group(call, name)
    by_time = request.get("orderBy") == "LastEventTime"
    if by_time and prefix:
        raise invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
    extents = await call.journal.extents(journals(call.account, call.region, found.spec.uid))
    streams = queries.streams(call, name, prefix)
    shown, token = _page(call, request, _ranked(streams, extents, by_time))
    return {"logStreams": [present.stream(s, extents.get(s.spec.journal)) for s in shown], "nextToken": token}


Ranked = list[tuple[list[int], Stream]]


def _ranked(streams: Sequence[Stream], extents: Mapping[str, Extent], by_time: bool) -> Ranked:
    """Each with what orders it before its name. A stream without events is the oldest."""
    if not by_time:
        return [([], s) for s in streams]
    last = ((extents[s.spec.journal].last if s.spec.journal in extents else None, s) for s in streams)
    return sorted((([-1 if at is None else at], s) for at, s in last), key=lambda r: (r[0], r[1].spec.stream))


def _page(call: Call, request: Request, ranked: Ranked) -> tuple[list[Stream], str | None]:
    descending = bool(request.get("descending"))
    if descending:
        ranked.reverse()
    shown, token = page(call, request, ranked, lambda r: [r[0], r[1].spec.stream], descending)
    return [s for _, s in shown], token
