"""An alarm enters a state: written down together with what is to be done about it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from havre.control.deliveries import Delivery, send
from havre.kernel.world import World
from havre.services.cloudwatch import history, notices
from havre.services.cloudwatch.actions import POLICY, packed
from havre.services.cloudwatch.resources import ACTION, AlarmRecord, AlarmStatus, Notice
from havre.store.ports import Transaction


def enter(tx: Transaction, world: World, alarm: AlarmRecord, state: str, reason: str, data: str) -> list[history.Item]:
    """In a transaction that has just read ``alarm``. What was the state before stays it: then nothing is done, but for the
    reason. Gives what is to be noted in the history once this is durable."""
    old, now = alarm.status, world.now()
    if state == old.state:
        tx.update(alarm, status=replace(old, reason=reason, data=data, evaluated=True))
        return []
    new = AlarmStatus(state, reason, data, now, True)
    tx.update(alarm, status=new)
    tell(tx, world, alarm, notices.state_change(alarm, old, new))
    if alarm.spec.enabled:
        for action in alarm.spec.actions.get(state, ()):
            topic = action.split(":")[2] == "sns"
            text = (notices.for_topic if topic else notices.for_function)(alarm, old, new)
            _send(tx, world, alarm, _notice(alarm, action, text, notices.subject(alarm, state) if topic else ""))
    return [history.state_update(_told(old), _told(new), alarm.spec.name, alarm.spec.type)]


def tell(tx: Transaction, world: World, alarm: AlarmRecord, entry: str) -> None:
    """To EventBridge."""
    _send(tx, world, alarm, _notice(alarm, "", entry))


def _notice(alarm: AlarmRecord, action: str, text: str, subject: str = "") -> Notice:
    return Notice(alarm.meta.arn, alarm.spec.name, alarm.spec.type, action, text, subject)


def _send(tx: Transaction, world: World, alarm: AlarmRecord, notice: Notice) -> None:
    """One action's notices of an alarm arrive in their order."""
    now = world.now()
    delivery = Delivery(packed(notice), f"{alarm.spec.name}:{notice.action}", now, POLICY)
    send(tx, ACTION, alarm.meta.account, alarm.meta.region, f"{now:017.6f}-{world.hex(16)}", delivery)


def _told(status: AlarmStatus) -> Mapping[str, Any]:
    told: dict[str, Any] = {"stateValue": status.state, "stateReason": status.reason}
    if status.data:
        told["stateReasonData"] = json.loads(status.data)
    return told
