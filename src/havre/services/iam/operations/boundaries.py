"""Permissions boundaries, and the condition keys that speak of policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.kernel.errors import ApiError
from havre.services.iam import managed
from havre.services.iam.common import holder, holder_arns, invalid, no_such
from havre.services.iam.resources import POLICY
from havre.store.ports import Transaction

ops = Operations()


def conditions(call: Call, request: Request) -> Mapping[str, str | Sequence[str]]:
    """``iam:PermissionsBoundary`` (of the request, else of the entity as it is) and ``iam:PolicyARN``."""
    keys: dict[str, str | Sequence[str]] = {}
    boundary = request.get("PermissionsBoundary", "")
    for kind in ("User", "Role"):
        if not boundary and f"{kind}Name" in request:
            try:
                boundary = holder(call.store, call.account, kind, request[f"{kind}Name"]).spec.boundary
            except ApiError:  # not there: the operation itself will say so
                continue
    if boundary:
        keys["iam:PermissionsBoundary"] = boundary
    if "PolicyArn" in request:
        keys["iam:PolicyARN"] = request["PolicyArn"]
    return keys


def checked_boundary(call: Call, arn: str) -> str:
    """Raises NoSuchEntity unless it is a managed policy that this account may use, InvalidInput for what is none at all."""
    if not arn:
        return ""
    if not arn.startswith("arn:") or ":policy/" not in arn:
        raise invalid(f"ARN {arn} is not valid.")
    owned = any(p.meta.account == call.account for p in call.store.find(POLICY, "arn", arn))
    if not owned and managed.find(arn) is None:
        raise no_such(f"Scope ARN: {arn} does not exist or is not attachable.")
    return arn


def _declare(kind: str) -> None:
    arns = holder_arns(kind)

    @ops(f"Put{kind}PermissionsBoundary", resources=arns, conditions=conditions)
    async def put(call: Call, request: Request) -> Answer:
        boundary = checked_boundary(call, request["PermissionsBoundary"])

        def change(tx: Transaction) -> None:
            found = holder(tx, call.account, kind, request[f"{kind}Name"])
            tx.update(found, spec=replace(found.spec, boundary=boundary))

        await call.store.transact(change)
        return None

    @ops(f"Delete{kind}PermissionsBoundary", resources=arns, conditions=conditions)
    async def delete(call: Call, request: Request) -> Answer:
        def change(tx: Transaction) -> None:
            found = holder(tx, call.account, kind, request[f"{kind}Name"])
            if not found.spec.boundary:
                raise no_such(f"{kind} with name {request[f'{kind}Name']} does not have a permissions boundary.")
            tx.update(found, spec=replace(found.spec, boundary=""))

        await call.store.transact(change)
        return None


for _kind in ("User", "Role"):
    _declare(_kind)
