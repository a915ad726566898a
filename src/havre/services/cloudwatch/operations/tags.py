"""Tags of alarms and dashboards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.control.tags import shown, without
from havre.kernel.errors import ApiError
from havre.services.cloudwatch import labelling, names
from havre.services.cloudwatch.errors import invalid
from havre.services.cloudwatch.resources import ALARM, DASHBOARD, AlarmRecord, DashboardRecord
from havre.store.ports import Reader, Transaction

ops = Operations()
_DASHBOARD = "dashboard"
Change = Callable[[Mapping[str, str]], Mapping[str, str]]


def of_resource(call: Call, request: Request) -> Sequence[str]:
    return (str(request["ResourceARN"]),)


def _find(reader: Reader, arn: str) -> AlarmRecord | DashboardRecord:
    """Raises ApiError."""
    kind, account, region, name = names.parsed(arn)
    if kind == _DASHBOARD:
        dashboard = reader.get(DASHBOARD, account, "", name)
        if dashboard is not None:
            return dashboard
    elif kind == "alarm":
        alarm = reader.get(ALARM, account, region, name)
        if alarm is not None:
            return alarm
    else:
        raise invalid(f"The value {arn[:256]} for parameter ResourceARN is invalid.")
    fields = {"ResourceType": kind, "ResourceId": name}
    raise ApiError("ResourceNotFoundException", f"Unknown {kind} {name}", None, fields)


def tags_of(call: Call, arn: str) -> Mapping[str, str]:
    """For IAM. Raises ApiError."""
    return _find(call.store, arn).spec.tags


async def _change(call: Call, request: Request, changed: Change) -> None:
    def change(tx: Transaction) -> None:
        seen: Any = _find(tx, request["ResourceARN"])
        tx.update(seen, spec=replace(seen.spec, tags=changed(seen.spec.tags)))

    await call.store.transact(change)


@ops("TagResource", resources=of_resource)
async def tag_resource(call: Call, request: Request) -> Answer:
    new = labelling.given(request["Tags"])
    await _change(call, request, lambda old: labelling.merged(old, new))
    return {}


@ops("UntagResource", resources=of_resource)
async def untag_resource(call: Call, request: Request) -> Answer:
    await _change(call, request, lambda old: without(old, request["TagKeys"]))
    return {}


@ops("ListTagsForResource", resources=of_resource)
async def list_tags_for_resource(call: Call, request: Request) -> Answer:
    return {"Tags": shown(_find(call.store, request["ResourceARN"]).spec.tags)}
