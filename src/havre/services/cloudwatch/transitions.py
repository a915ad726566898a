"""An alarm enters a state: written down together with what is to be done about it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from havre.control.deliveries import Delivery, send
from havre.core.metrics.alarms import ALARM as RAISED
from havre.core.metrics.suppression import Terms, begin, go_on
from havre.kernel.world import World
from havre.services.cloudwatch import history, names, notices
from havre.services.cloudwatch.actions import POLICY, packed
from havre.services.cloudwatch.resources import ACTION, ALARM, AlarmRecord, AlarmStatus, Notice
from havre.store.ports import Reader, Transaction


def enter(tx: Transaction, world: World, alarm: AlarmRecord, state: str, reason: str, data: str) -> list[history.Item]:
    """In a transaction that has just read ``alarm``. What was the state before stays it: then nothing is done, but for the
    reason. Gives what is to be noted in the history once this is durable."""
    old, now = alarm.status, world.now()
    if state == old.state:
        tx.update(alarm, status=replace(old, reason=reason, data=data, evaluated=True))
        return []
    terms = suppressor_terms(alarm)
    hold = begin(terms, is_raised(tx, alarm), now) if terms is not None and alarm.spec.enabled else None
    new = AlarmStatus(state, reason, data, now, True, now, hold)
    _become(tx, world, alarm, new)
    return [history.state_update(_told(old), _told(new), alarm.spec.name, alarm.spec.type)]


def release(tx: Transaction, world: World, alarm: AlarmRecord) -> None:
    """As ``enter``, of an alarm whose actions are held back: whether they still are."""
    status, terms, now = alarm.status, suppressor_terms(alarm), world.now()
    if status.hold is None:
        return
    hold = go_on(status.hold, terms, is_raised(tx, alarm), now) if terms is not None else None
    if hold != status.hold:
        _become(tx, world, alarm, replace(status, hold=hold, since=now))


def _become(tx: Transaction, world: World, alarm: AlarmRecord, new: AlarmStatus) -> None:
    old = alarm.status
    tx.update(alarm, status=new)
    tell(tx, world, alarm, notices.state_change(alarm, old, new))
    if not alarm.spec.enabled or new.hold is not None:
        return
    for action in alarm.spec.actions.get(new.state, ()):
        topic = action.split(":")[2] == "sns"
        text = (notices.for_topic if topic else notices.for_function)(alarm, old, new)
        _send(tx, world, alarm, _notice(alarm, action, text, notices.subject(alarm, new.state) if topic else ""))


def suppressor_terms(alarm: AlarmRecord) -> Terms | None:
    given = alarm.spec.given
    if "ActionsSuppressor" not in given:
        return None
    return Terms(given["ActionsSuppressorWaitPeriod"], given["ActionsSuppressorExtensionPeriod"])


def is_raised(reader: Reader, alarm: AlarmRecord) -> bool:
    """Whether its suppressor is in ALARM; one that is not there is not."""
    given = alarm.spec.given.get("ActionsSuppressor", "")
    found = reader.get(ALARM, alarm.meta.account, alarm.meta.region, names.alarm_name(given))
    return found is not None and found.status.state == RAISED


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
