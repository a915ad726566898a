"""The history of alarms: a journal for each account and region, kept for 30 days."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from havre.store.ports import Journal

STREAMS = "cloudwatch/alarms/"
KEPT = 30 * 86_400
MOST_DATA = 4095
"""Characters of an item's data that AWS shows at most."""


class Item(msgspec.Struct, frozen=True, array_like=True):
    """``item``: ConfigurationUpdate, StateUpdate or Action."""

    alarm: str
    type: str
    item: str
    summary: str
    data: Mapping[str, Any]


decode = msgspec.msgpack.Decoder(Item).decode
_encode = msgspec.msgpack.Encoder().encode


def stream(account: str, region: str) -> str:
    return f"{STREAMS}{account}/{region}"


async def note(journal: Journal, account: str, region: str, now: float, *items: Item) -> None:
    """Durable when it returns."""
    at = int(now * 1000)
    if items:
        await journal.append(stream(account, region), [(at, _encode(item)) for item in items], now=at)


def shown_data(item: Item) -> str:
    """JSON; what does not fit in is left out, the longest first."""
    data = dict(item.data)
    text = json.dumps(data, separators=(",", ":"))
    while len(text) > MOST_DATA and data:
        del data[max(data, key=lambda name: len(json.dumps(data[name])))]
        text = json.dumps(data, separators=(",", ":"))
    return text


def state_update(old: Mapping[str, Any], new: Mapping[str, Any], alarm: str, type: str) -> Item:
    """``old`` and ``new``: stateValue, stateReason, stateReasonData."""
    summary = f"Alarm updated from {old['stateValue']} to {new['stateValue']}"
    data = {"version": "1.0", "oldState": old, "newState": new}
    if len(json.dumps(data)) > MOST_DATA:
        data["oldState"] = {name: old[name] for name in ("stateValue", "stateReason")}
    return Item(alarm, type, "StateUpdate", summary, data)
