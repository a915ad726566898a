"""Keys: made, shown, listed, described anew."""

from __future__ import annotations

from functools import partial

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.kernel.resource import NoStatus
from havre.services.kms import conditions, crypto, errors, labels, paging, policies, present, queries, using
from havre.services.kms.operations.policies import check_lockout
from havre.services.kms.resources import ENCRYPT, KEY, SYMMETRIC, Key
from havre.services.kms.vault import Vault
from havre.store.ports import Transaction


def operations(vault: Vault) -> Operations:
    ops = Operations()
    ops("CreateKey", conditions=_new)(partial(create_key, vault))
    ops("DescribeKey", resources=queries.about(), conditions=conditions.of_request, about=conditions.of_key)(
        partial(describe_key, vault)
    )
    ops("ListKeys")(list_keys)
    ops("UpdateKeyDescription", resources=queries.about(), conditions=conditions.of_request, about=conditions.of_key)(
        update_description
    )
    return ops


def _new(call: Call, request: Request) -> conditions.Keys:
    spec, usage = _kind(request)
    made = {"kms:KeySpec": spec, "kms:KeyUsage": usage, "kms:KeyOrigin": request.get("Origin") or "AWS_KMS"}
    return {**conditions.of_request(call, request), **made, **labels.asked(request.get("Tags") or ())}


def _kind(request: Request) -> tuple[str, str]:
    spec = request.get("KeySpec") or request.get("CustomerMasterKeySpec") or SYMMETRIC
    return spec, request.get("KeyUsage") or ENCRYPT


async def create_key(vault: Vault, call: Call, request: Request) -> Answer:
    spec, usage = _checked(request)
    tags = labels.merged({}, request.get("Tags") or ())
    if tags:
        await call.authorize("kms:TagResource", ["*"], dict(labels.asked(request["Tags"])))
    policy = request.get("Policy") or policies.default(call.account)
    id = call.world.uuid()
    arn = call.arn(f"key/{id}")
    policies.check(policy)
    if not request.get("BypassPolicyLockoutSafetyCheck"):
        check_lockout(call, policy, arn)
    material = await using.material(vault, spec, arn, call.now)
    key = Key(usage, spec, policy, (material,), request.get("Description") or "", tags)

    def change(tx: Transaction) -> Answer:
        made = tx.create(KEY, account=call.account, region=call.region, name=id, arn=arn, spec=key, status=NoStatus())
        return {"KeyMetadata": present.metadata(made)}

    return await call.store.transact(change)


def _checked(request: Request) -> tuple[str, str]:
    """Spec and usage. Raises ApiError for what AWS or Havre does not make."""
    for member in ("CustomKeyStoreId", "XksKeyId"):
        if request.get(member):
            raise errors.absent(member)
    if request.get("MultiRegion"):
        raise errors.absent("multi-Region keys")
    if (request.get("Origin") or "AWS_KMS") != "AWS_KMS":
        raise errors.absent(f"keys of the origin {request['Origin']}")
    given = {request.get("KeySpec"), request.get("CustomerMasterKeySpec")} - {None}
    if len(given) > 1:
        raise errors.invalid("You cannot specify KeySpec and CustomerMasterKeySpec in the same request.")
    spec, usage = _kind(request)
    if spec not in crypto.USAGES:
        raise errors.absent(f"keys of the spec {spec}")
    if spec != SYMMETRIC and not request.get("KeyUsage"):
        raise errors.invalid("You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.")
    if usage not in crypto.USAGES[spec]:
        raise errors.invalid(f"KeyUsage {usage} is not compatible with KeySpec {spec}")
    return spec, usage


async def describe_key(vault: Vault, call: Call, request: Request) -> Answer:
    return {"KeyMetadata": present.metadata(await using.found(vault, call, request["KeyId"]))}


async def list_keys(call: Call, request: Request) -> Answer:
    if request.get("ResourceOwners"):
        raise errors.absent("ListKeys by ResourceOwners")
    found = [
        r
        for r in call.store.list(KEY, call.account, call.region)
        if queries.alive(call.store, call.account, call.region, r.meta.name, call.now) is not None
    ]
    shown, rest = paging.page(call, request, found, lambda r: r.meta.name, 100)
    return {"Keys": [{"KeyId": r.meta.name, "KeyArn": r.meta.arn} for r in shown], **rest}


async def update_description(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        found = queries.own(call, tx, request["KeyId"])
        if found.spec.deletion is not None:
            raise errors.wrong_state(found.meta.arn, "pending deletion")
        tx.update(found, spec=replace(found.spec, description=request["Description"]))

    await call.store.transact(change)
    return {}
