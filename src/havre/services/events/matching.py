"""Events: made of what PutEvents takes, matched by rules, written down for their targets."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from havre.control.deliveries import Delivery, send
from havre.core.delivery import DAY, RetryPolicy, event_policy
from havre.core.event_pattern import Pattern, compile
from havre.services.events import queries
from havre.services.events.names import Place
from havre.services.events.resources import DELIVERY, RuleRecord, Shipment
from havre.store.ports import Transaction

Event = Mapping[str, Any]
_HOPS = re.compile(r"(?:^|;)Havre-Hops=(\d{1,2})(?:;|$)")


@lru_cache(4096)
def compiled(pattern: str) -> Pattern:
    """Of a pattern that was checked when its rule was put."""
    return compile(pattern)


def timestamp(at: float) -> str:
    return datetime.fromtimestamp(int(at), UTC).isoformat().replace("+00:00", "Z")


def made(id: str, place: Place, at: float, said: Mapping[str, Any], detail: Any) -> dict[str, Any]:
    """An event as targets and patterns see it. ``at`` in seconds since the epoch; ``said``: an entry of PutEvents, of which
    Source, DetailType and Resources are taken."""
    return {
        "version": "0",
        "id": id,
        "detail-type": said["DetailType"],
        "source": said["Source"],
        "account": place.account,
        "time": timestamp(at),
        "region": place.region,
        "resources": list(said.get("Resources") or ()),
        "detail": detail,
    }


def hops(trace: str | None) -> int:
    """How often an event was passed on from bus to bus."""
    found = _HOPS.search(trace or "")
    return int(found[1]) if found is not None else 0


def route(tx: Transaction, place: Place, event: Event, taken: float, hops: int = 0) -> list[str]:
    """Write down a delivery for each target of each rule of the bus that the event matches. Gives these rules' ARNs."""
    found = []
    for rule in queries.rules(tx, place):
        spec = rule.spec
        if not spec.enabled or not spec.pattern or not spec.targets:
            continue
        if compiled(spec.pattern).matches(event):
            ship(tx, rule, event, taken, hops)
            found.append(rule.meta.arn)
    return found


def ship(tx: Transaction, rule: RuleRecord, event: Event, taken: float, hops: int = 0) -> None:
    for id, target in rule.spec.targets.items():
        name, spec = parcel(rule, id, target, event, taken, hops)
        send(tx, DELIVERY, rule.meta.account, rule.meta.region, name, spec)


def parcel(
    rule: RuleRecord, id: str, target: Mapping[str, Any], event: Event, taken: float, hops: int = 0
) -> tuple[str, Delivery]:
    """The name of a delivery, and what it is."""
    shipment = Shipment(rule.meta.arn, target, event, taken, hops)
    again = "" if event.get("replay-name") is None else f"{event['replay-name']}/"
    name = f"{again}{event['id']}/{rule.meta.name}/{id}"
    return name, Delivery(msgspec.msgpack.encode(shipment), name, taken, retries(target))


def retries(target: Mapping[str, Any]) -> RetryPolicy:
    says = target.get("RetryPolicy") or {}
    most, age = says.get("MaximumRetryAttempts"), says.get("MaximumEventAgeInSeconds")
    return event_policy(185 if most is None else most, DAY if age is None else float(age))


def detail_of(text: str | None) -> Any:
    """The object that a Detail is. Raises ValueError."""
    try:
        found = json.loads(text or "")
    except RecursionError:
        raise ValueError("Detail is nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("Detail is no object")
    return found
