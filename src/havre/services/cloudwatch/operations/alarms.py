"""Alarms: put, deleted, switched on and off, set."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.kernel.errors import ApiError
from havre.kernel.resource import scoped
from havre.services.cloudwatch import alarm_checks, history, labelling, names, notices, transitions
from havre.services.cloudwatch.errors import no_alarm, validation
from havre.services.cloudwatch.resources import ALARM, COMPOSITE, Alarm, AlarmRecord, AlarmStatus
from havre.store.ports import Transaction

ops = Operations()
Checked = Callable[[Call, Request, Mapping[str, str]], Alarm]


@ops("PutMetricAlarm", resources=names.of_alarm)
async def put_metric_alarm(call: Call, request: Request) -> Answer:
    await _put(call, request, alarm_checks.metric_alarm)
    return None


@ops("PutCompositeAlarm", resources=names.of_alarm)
async def put_composite_alarm(call: Call, request: Request) -> Answer:
    await _put(call, request, alarm_checks.composite_alarm)
    return None


async def _put(call: Call, request: Request, checked: Checked) -> None:
    """An alarm that is there keeps its state and its tags."""
    tags = labelling.given(request.get("Tags"))
    wanted = checked(call, request, tags)
    arn = names.alarm_arn(call, wanted.name)
    if tags:
        await call.authorize("cloudwatch:TagResource", [arn], {})

    def change(tx: Transaction) -> history.Item:
        absent = [name for name in wanted.children if tx.get(ALARM, call.account, call.region, name) is None]
        if absent:
            raise validation(f"Could not save the composite alarm as alarms [{', '.join(absent)}] do not exist")
        suppressor = wanted.given.get("ActionsSuppressor")
        if suppressor and tx.get(ALARM, call.account, call.region, names.alarm_name(suppressor)) is None:
            raise validation(f"The ActionsSuppressor {suppressor} does not exist")
        seen = tx.get(ALARM, call.account, call.region, wanted.name)
        if seen is None:
            where = {"account": call.account, "region": call.region, "name": wanted.name, "arn": arn}
            made = tx.create(ALARM, **where, spec=wanted, status=AlarmStatus(since=call.now, entered=call.now))
            transitions.tell(tx, call.world, made, notices.configuration_change(made, "create", call.now))
            return _configured(wanted, "created")
        if seen.spec.type != wanted.type:
            raise validation(f"An alarm of another type with the name {wanted.name} exists already.")
        spec = replace(wanted, tags=seen.spec.tags)
        changed = tx.update(seen, spec=spec, status=replace(seen.status, evaluated=False))
        transitions.tell(tx, call.world, changed, notices.configuration_change(changed, "update", call.now, seen))
        return _configured(wanted, "updated")

    item = await call.store.transact(change)
    await history.note(call.journal, call.account, call.region, call.now, item)


def _configured(alarm: Alarm, what: str) -> history.Item:
    named = {"created": "Create", "updated": "Update", "deleted": "Delete"}[what]
    shown = {name[0].lower() + name[1:]: value for name, value in alarm.given.items()}
    if alarm.type == COMPOSITE:
        shown["alarmRule"] = alarm.rule
    data = {"version": "1.0", "type": named, f"{what}Alarm": {"alarmName": alarm.name, **shown}}
    return history.Item(alarm.name, alarm.type, "ConfigurationUpdate", f'Alarm "{alarm.name}" {what}'[:255], data)


@ops("DeleteAlarms", resources=names.of_alarms)
async def delete_alarms(call: Call, request: Request) -> Answer:
    """Those that are not there are passed over."""
    wanted = set(request["AlarmNames"])

    def change(tx: Transaction) -> list[history.Item]:
        found = [
            each for name in sorted(wanted) if (each := tx.get(ALARM, call.account, call.region, name)) is not None
        ]
        if sum(each.spec.type == COMPOSITE for each in found) > 1:
            raise validation("At most one composite alarm can be deleted in one request.")
        for each in found:
            parents = tx.find(ALARM, "child", scoped(call.account, call.region, each.spec.name))
            left = [parent.spec.name for parent in parents if parent.spec.name not in wanted]
            if left or each in parents:
                depend = ", ".join(left or [each.spec.name])
                raise validation(
                    f"Cannot delete the alarm {each.spec.name}: the composite alarms [{depend}] depend on it."
                )
        for each in found:
            transitions.tell(tx, call.world, each, notices.configuration_change(each, "delete", call.now))
            tx.remove(each)
        return [_configured(each.spec, "deleted") for each in found]

    items = await call.store.transact(change)
    await history.note(call.journal, call.account, call.region, call.now, *items)
    return None


async def _switch(call: Call, request: Request, enabled: bool) -> None:
    def change(tx: Transaction) -> None:
        for name in dict.fromkeys(request["AlarmNames"]):
            seen = tx.get(ALARM, call.account, call.region, name)
            if seen is not None and seen.spec.enabled != enabled:
                tx.update(seen, spec=replace(seen.spec, enabled=enabled, configured=call.now))

    await call.store.transact(change)


@ops("EnableAlarmActions", resources=names.of_alarms)
async def enable_alarm_actions(call: Call, request: Request) -> Answer:
    await _switch(call, request, True)
    return None


@ops("DisableAlarmActions", resources=names.of_alarms)
async def disable_alarm_actions(call: Call, request: Request) -> Answer:
    await _switch(call, request, False)
    return None


@ops("SetAlarmState", resources=names.of_alarm)
async def set_alarm_state(call: Call, request: Request) -> Answer:
    """Until the alarm is evaluated next."""
    data = request.get("StateReasonData", "")
    if data and not _is_object(data):
        raise ApiError("InvalidFormatFault", "TemplateFormatError: StateReasonData is not a JSON object")

    def change(tx: Transaction) -> list[history.Item]:
        seen: AlarmRecord | None = tx.get(ALARM, call.account, call.region, request["AlarmName"])
        if seen is None:
            raise no_alarm()
        return transitions.enter(tx, call.world, seen, request["StateValue"], request["StateReason"], data)

    items = await call.store.transact(change)
    await history.note(call.journal, call.account, call.region, call.now, *items)
    return None


def _is_object(text: str) -> bool:
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict)
