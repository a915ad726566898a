"""The configuration of an account: from when on events tell that a certificate is going to expire."""

from __future__ import annotations

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.kernel.resource import NoStatus
from havre.services.acm.errors import validation
from havre.services.acm.resources import DAYS_BEFORE_EXPIRY, SETTINGS, AccountSettings, days_before_expiry
from havre.store.ports import Transaction

ops = Operations()


@ops("GetAccountConfiguration")
async def get_account_configuration(call: Call, request: Request) -> Answer:
    return {"ExpiryEvents": {"DaysBeforeExpiry": days_before_expiry(call.store, call.account, call.region)}}


@ops("PutAccountConfiguration")
async def put_account_configuration(call: Call, request: Request) -> Answer:
    days = (request.get("ExpiryEvents") or {}).get("DaysBeforeExpiry")
    if days is None:
        raise validation("Configuration for events is empty.")
    if not 1 <= days <= DAYS_BEFORE_EXPIRY:
        raise validation(f"DaysBeforeExpiry must be between 1 and {DAYS_BEFORE_EXPIRY}.")

    def change(tx: Transaction) -> None:
        found = tx.get(SETTINGS, call.account, call.region, "settings")
        if found is not None:
            tx.update(found, spec=replace(found.spec, days=days))
            return
        where = {"account": call.account, "region": call.region, "name": "settings", "arn": ""}
        tx.create(SETTINGS, **where, spec=AccountSettings(days), status=NoStatus())

    await call.store.transact(change)
    return {}
