"""Keys that are enabled, disabled, about to be deleted."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.services.kms import conditions, errors, queries
from havre.services.kms.resources import KeyR
from havre.store.ports import Transaction

ops = Operations()
DAY = 86400.0
_WINDOW = 30


async def _change(call: Call, request: Request, *, pending: bool, **fields: Any) -> KeyR:
    """``pending``: whether the key is expected to be about to be deleted."""

    def change(tx: Transaction) -> KeyR:
        found = queries.own(call, tx, request["KeyId"])
        if pending and found.spec.deletion is None:
            raise errors.wrong_state(found.meta.arn, "not pending deletion")
        if not pending and found.spec.deletion is not None:
            raise errors.wrong_state(found.meta.arn, "pending deletion")
        return tx.update(found, spec=replace(found.spec, **fields))

    return await call.store.transact(change)


@ops("EnableKey", resources=queries.about(), conditions=conditions.of_request, about=conditions.of_key)
async def enable_key(call: Call, request: Request) -> Answer:
    await _change(call, request, pending=False, enabled=True)
    return {}


@ops("DisableKey", resources=queries.about(), conditions=conditions.of_request, about=conditions.of_key)
async def disable_key(call: Call, request: Request) -> Answer:
    await _change(call, request, pending=False, enabled=False)
    return {}


@ops("ScheduleKeyDeletion", resources=queries.about(), conditions=conditions.of_request, about=conditions.of_key)
async def schedule_deletion(call: Call, request: Request) -> Answer:
    days = request.get("PendingWindowInDays") or _WINDOW
    if not 7 <= days <= 30:
        raise errors.invalid(f"PendingWindowInDays must be between 7 and 30, it is {days}.")
    made = await _change(call, request, pending=False, deletion=call.now + days * DAY, window=days, enabled=False)
    return {
        "KeyId": made.meta.arn,
        "DeletionDate": made.spec.deletion,
        "KeyState": made.spec.state,
        "PendingWindowInDays": days,
    }


@ops("CancelKeyDeletion", resources=queries.about(), conditions=conditions.of_request, about=conditions.of_key)
async def cancel_deletion(call: Call, request: Request) -> Answer:
    """The key is disabled then."""
    made = await _change(call, request, pending=True, deletion=None, window=0, enabled=False)
    return {"KeyId": made.meta.arn}
