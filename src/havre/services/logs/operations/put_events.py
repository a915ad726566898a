"""PutLogEvents: the way in. Sequence tokens are ignored, as on AWS."""

from __future__ import annotations

from functools import partial
from typing import Any

from havre.control.operation import Answer, Call, Operations, Request
from havre.services.logs import names, queries, rules
from havre.services.logs.events import head
from havre.services.logs.metric_filters import measure
from havre.services.logs.present import sequence_token
from havre.services.logs.subscriptions import hand_on
from havre.services.logs.tails import Tails


async def put_log_events(tails: Tails, call: Call, request: Request) -> Answer:
    group = queries.group(call, request["logGroupName"])
    stream = queries.stream(call, request["logGroupName"], request["logStreamName"])
    events, seconds = request["logEvents"], call.now
    now = int(seconds * 1000)
    messages = [event["message"].encode("utf-8", "replace") for event in events]
    rules.sizes([*map(len, messages)])
    times = [event["timestamp"] for event in events]
    taken = rules.window(times, now, queries.oldest(group, seconds))
    if taken.first < taken.last:
        mark = head(now)
        kept = slice(taken.first, taken.last)
        entries = list(zip(times[kept], [mark + message for message in messages[kept]], strict=True))
        last = await call.journal.append(stream.spec.journal, entries, now=now)
        await hand_on(call, stream.spec, entries, last)
        measure(call, group, entries, now)
        for session in tails.of(group.meta.arn):
            session.offer(group.meta.arn, stream.spec.stream, entries, now)
    answer: dict[str, Any] = {"nextSequenceToken": sequence_token(stream), "rejectedLogEventsInfo": taken.rejected}
    if request.get("entity"):
        answer["rejectedEntityInfo"] = {"errorType": "UnsupportedLogGroupType"}
    return answer


def operations(tails: Tails) -> Operations:
    ops = Operations()
    ops("PutLogEvents", resources=names.of_stream, conditions=names.conditions, data_event=True)(
        partial(put_log_events, tails)
    )
    return ops
