"""Schedules."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.control.roles import assumable, may_pass
from havre.kernel.errors import not_built
from havre.kernel.resource import scoped
from havre.services.scheduler import present, rules
from havre.services.scheduler.courier import PRINCIPAL
from havre.services.scheduler.errors import conflict, missing, validation
from havre.services.scheduler.operations.groups import exists
from havre.services.scheduler.paging import page
from havre.services.scheduler.resources import (
    DEFAULT,
    ENABLED,
    SCHEDULE,
    Schedule,
    ScheduleRecord,
    ScheduleStatus,
    schedule_name,
)
from havre.store.ports import Reader, Transaction

ops = Operations()
CANNOT_ASSUME = "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."


def _arns(call: Call, request: Request) -> Sequence[str]:
    return (call.arn(f"schedule/{request.get('GroupName') or DEFAULT}/{request['Name']}"),)


def _found(call: Call, request: Request, reader: Reader) -> ScheduleRecord:
    """Raises ApiError ResourceNotFoundException."""
    group, name = request.get("GroupName") or DEFAULT, request["Name"]
    if not exists(call, reader, group):
        raise missing("Schedule group", group)
    found = reader.get(SCHEDULE, call.account, call.region, schedule_name(group, name))
    if found is None:
        raise missing("Schedule", name)
    return found


async def _said(call: Call, request: Request) -> Schedule:
    """What a request makes of a schedule. Raises ApiError."""
    target, zone = request["Target"], request.get("ScheduleExpressionTimezone") or "UTC"
    if request.get("KmsKeyArn"):
        raise not_built("scheduler", "schedules with KmsKeyArn")
    rules.zone(zone)
    rules.read(request["ScheduleExpression"], zone, call.now)
    window = rules.check_window(request["FlexibleTimeWindow"])
    rules.check_dates(request, call.now)
    rules.check_target(target)
    role = target["RoleArn"]
    await may_pass(call, role, PRINCIPAL)
    if not await assumable(call, role, PRINCIPAL):
        raise validation(CANNOT_ASSUME)
    return Schedule(
        request.get("GroupName") or DEFAULT,
        request["Name"],
        request["ScheduleExpression"],
        {k: v for k, v in target.items() if v is not None},
        zone,
        request.get("State") or ENABLED,
        window,
        request.get("StartDate"),
        request.get("EndDate"),
        request.get("Description") or "",
        request.get("ActionAfterCompletion") or "NONE",
        call.now,
        request.get("ClientToken") or "",
    )


@ops("CreateSchedule", resources=_arns)
async def create_schedule(call: Call, request: Request) -> Answer:
    """With the token of an earlier request, the answer is that one's."""
    spec = await _said(call, request)
    (arn,) = _arns(call, request)

    def change(tx: Transaction) -> None:
        if not exists(call, tx, spec.group):
            raise missing("Schedule group", spec.group)
        key = {"account": call.account, "region": call.region, "name": schedule_name(spec.group, spec.name)}
        found = tx.get(SCHEDULE, *key.values())
        if found is not None:
            if spec.token and found.spec.token == spec.token:
                return
            raise conflict(f"Schedule {spec.name} already exists.")
        tx.create(SCHEDULE, **key, arn=arn, spec=spec, status=ScheduleStatus())

    await call.store.transact(change)
    return {"ScheduleArn": arn}


@ops("UpdateSchedule", resources=_arns)
async def update_schedule(call: Call, request: Request) -> Answer:
    """Says anew all of what a schedule is."""
    _found(call, request, call.store)
    spec = await _said(call, request)

    def change(tx: Transaction) -> None:
        found = _found(call, request, tx)
        tx.update(found, spec=replace(spec, token=found.spec.token))

    await call.store.transact(change)
    return {"ScheduleArn": _arns(call, request)[0]}


@ops("GetSchedule", resources=_arns)
async def get_schedule(call: Call, request: Request) -> Answer:
    return present.schedule(_found(call, request, call.store))


@ops("DeleteSchedule", resources=_arns)
async def delete_schedule(call: Call, request: Request) -> Answer:
    await call.store.transact(lambda tx: tx.remove(_found(call, request, tx)))
    return {}


@ops("ListSchedules")
async def list_schedules(call: Call, request: Request) -> Answer:
    group, prefix = request.get("GroupName"), request.get("NamePrefix") or ""
    if group and not exists(call, call.store, group):
        raise missing("Schedule group", group)
    every: Sequence[ScheduleRecord] = (
        call.store.find(SCHEDULE, "group", scoped(call.account, call.region, group))
        if group
        else call.store.list(SCHEDULE, call.account, call.region)
    )
    found = [r for r in every if r.spec.name.startswith(prefix) and request.get("State") in (None, r.spec.state)]
    shown, token = page(call, request, found, lambda r: r.meta.name)
    return {"Schedules": [present.summary(r) for r in shown], "NextToken": token}
