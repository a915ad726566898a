"""How long a group's events are kept."""

from __future__ import annotations

import msgspec

from havre.control.operation import Answer, Call, Operations, Request
from havre.services.logs import names, queries, rules
from havre.store.ports import Transaction

ops = Operations()


async def _set(call: Call, name: str, days: int) -> None:
    def change(tx: Transaction) -> None:
        found = queries.group(call, name, tx)
        if found.spec.retention != days:
            tx.update(found, spec=msgspec.structs.replace(found.spec, retention=days))

    await call.store.transact(change)


@ops("PutRetentionPolicy", resources=names.of_group, conditions=names.conditions)
async def put_retention_policy(call: Call, request: Request) -> Answer:
    await _set(call, request["logGroupName"], rules.retention(request["retentionInDays"]))
    return None


@ops("DeleteRetentionPolicy", resources=names.of_group, conditions=names.conditions)
async def delete_retention_policy(call: Call, request: Request) -> Answer:
    await _set(call, request["logGroupName"], 0)
    return None
