"""Scheduled actions."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from havre.control.operation import Answer, Call, Operations, Request
from havre.core.schedules import ScheduleError, parse
from havre.services.applicationautoscaling import parts, queries
from havre.services.applicationautoscaling.errors import invalid
from havre.services.applicationautoscaling.resources import ACTION, Action, ActionR, ActionStatus, TargetR
from havre.store.ports import Transaction

ops = Operations()


@ops("PutScheduledAction")
async def put_scheduled_action(call: Call, request: Request) -> Answer:
    id, now = call.world.uuid(), call.now

    def change(tx: Transaction) -> None:
        target = queries.get(tx, call, request)
        name = request["ScheduledActionName"]
        old = parts.get(tx, call, ACTION, target, name)
        spec = _action(target, old.spec if old is not None else None, request, id, now)
        if old is not None:
            tx.update(old, spec=spec, status=ActionStatus(now))
            return
        where = parts.place(call, target, "scheduledAction", id, name)
        tx.create(ACTION, spec=spec, status=ActionStatus(now), **where)

    await call.store.transact(change)
    return {}


def _action(target: TargetR, old: Action | None, request: Request, id: str, now: float) -> Action:
    schedule = request.get("Schedule", old.schedule if old is not None else None)
    if not schedule:
        raise invalid("A schedule must be given for a scheduled action.")
    zone = request.get("Timezone", old.zone if old is not None else "UTC")
    try:
        parse(schedule, now, ZoneInfo(zone), at=True)
    except ScheduleError as error:
        raise invalid(f"The schedule is not valid: {error}") from None
    except (KeyError, ValueError, OSError):
        raise invalid(f"The time zone is not valid: {zone}") from None
    wanted = request.get("ScalableTargetAction") or {}
    least, most = wanted.get("MinCapacity"), wanted.get("MaxCapacity")
    if not wanted and old is not None:
        least, most = old.least, old.most
    if least is None and most is None:
        raise invalid("MinCapacity or MaxCapacity must be given in the scalable target action.")
    if least is not None and most is not None and least > most:
        raise invalid("Maximum capacity cannot be less than minimum capacity.")
    return Action(
        target.meta.name,
        request["ScheduledActionName"],
        old.id if old is not None else id,
        schedule,
        zone,
        least,
        most,
        now,
        request.get("StartTime"),
        request.get("EndTime"),
    )


@ops("DeleteScheduledAction")
async def delete_scheduled_action(call: Call, request: Request) -> Answer:
    await parts.delete(call, request, ACTION, request["ScheduledActionName"], "scheduled action")
    return {}


@ops("DescribeScheduledActions")
async def describe_scheduled_actions(call: Call, request: Request) -> Answer:
    found = parts.described(call, request, ACTION, request.get("ScheduledActionNames"))
    shown, token = queries.page(call, request, found, _shown)
    return {"ScheduledActions": shown, "NextToken": token}


def _shown(pair: tuple[TargetR, ActionR]) -> dict[str, Any]:
    target, action = pair[0].spec, pair[1].spec
    wanted = {"MinCapacity": action.least, "MaxCapacity": action.most}
    return {
        "ScheduledActionName": action.name,
        "ScheduledActionARN": pair[1].meta.arn,
        "ServiceNamespace": target.namespace,
        "Schedule": action.schedule,
        "Timezone": action.zone,
        "ResourceId": target.resource,
        "ScalableDimension": target.dimension,
        "StartTime": action.start,
        "EndTime": action.end,
        "ScalableTargetAction": {n: v for n, v in wanted.items() if v is not None},
        "CreationTime": pair[1].meta.created,
    }
