"""New material for symmetric keys: each year (or as often as was said), or at once."""

from __future__ import annotations

from functools import partial
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.kernel.errors import ApiError
from havre.services.kms import conditions, errors, paging, queries, using
from havre.services.kms.resources import SYMMETRIC, KeyR
from havre.services.kms.vault import Vault
from havre.store.ports import Reader, Transaction

DAY = 86400.0
_YEAR = 365
_ON_DEMAND = 25


def operations(vault: Vault) -> Operations:
    ops = Operations()
    for name, handler in (
        ("EnableKeyRotation", enable_rotation),
        ("DisableKeyRotation", disable_rotation),
        ("GetKeyRotationStatus", rotation_status),
        ("ListKeyRotations", list_rotations),
        ("RotateKeyOnDemand", partial(rotate_on_demand, vault)),
    ):
        handle: Any = handler
        ops(name, resources=queries.about(), conditions=conditions.of_request, about=conditions.of_key)(handle)
    return ops


def _turning(call: Call, reader: Reader, text: str) -> KeyR:
    """Raises ApiError unless it is a symmetric key that can be rotated now."""
    found = queries.own(call, reader, text)
    if found.spec.spec != SYMMETRIC:
        raise errors.unsupported(f"{found.meta.arn} is not a symmetric encryption key: it cannot be rotated.")
    using.check_state(found)
    return found


async def enable_rotation(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        found = _turning(call, tx, request["KeyId"])
        days = request.get("RotationPeriodInDays") or _YEAR
        tx.update(found, spec=replace(found.spec, period=days, rotated=call.now))

    await call.store.transact(change)
    return {}


async def disable_rotation(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        found = _turning(call, tx, request["KeyId"])
        tx.update(found, spec=replace(found.spec, period=0))

    await call.store.transact(change)
    return {}


async def rotation_status(call: Call, request: Request) -> Answer:
    found = queries.key(call, call.store, request["KeyId"], alias=False)
    spec = found.spec
    if spec.spec != SYMMETRIC or not spec.period:
        return {"KeyRotationEnabled": False, "KeyId": found.meta.arn}
    return {
        "KeyRotationEnabled": True,
        "KeyId": found.meta.arn,
        "RotationPeriodInDays": spec.period,
        "NextRotationDate": spec.rotated + spec.period * DAY,
    }


async def list_rotations(call: Call, request: Request) -> Answer:
    if request.get("IncludeKeyMaterial"):
        raise errors.absent("ListKeyRotations with IncludeKeyMaterial")
    found = queries.key(call, call.store, request["KeyId"], alias=False)
    turns = [m for m in found.spec.materials if m.why]
    shown, rest = paging.page(call, request, turns, lambda m: f"{m.made:020.6f} {m.id.hex()}", 100)
    rotations = [{"KeyId": found.meta.arn, "RotationDate": m.made, "RotationType": m.why} for m in shown]
    return {"Rotations": rotations, **rest}


async def rotate_on_demand(vault: Vault, call: Call, request: Request) -> Answer:
    found = _turning(call, call.store, request["KeyId"])
    made = await using.material(vault, SYMMETRIC, found.meta.arn, call.now, "ON_DEMAND")

    def change(tx: Transaction) -> None:
        fresh = _turning(call, tx, request["KeyId"])
        if sum(m.why == "ON_DEMAND" for m in fresh.spec.materials) >= _ON_DEMAND:
            raise ApiError("LimitExceededException", f"A key can be rotated on demand {_ON_DEMAND} times.")
        tx.update(fresh, spec=replace(fresh.spec, materials=(*fresh.spec.materials, made)))

    await call.store.transact(change)
    return {"KeyId": found.meta.arn}
