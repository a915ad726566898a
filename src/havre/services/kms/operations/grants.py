"""Grants: leave to use a key, beside its policy."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence

from havre.control.operation import Answer, Call, Operations, Request
from havre.kernel.errors import ApiError
from havre.kernel.resource import NoStatus, scoped
from havre.services.kms import conditions, errors, paging, present, queries, using
from havre.services.kms.resources import AGREE, ENCRYPT, GRANT, MAC, SIGN, Grant, GrantR, KeyR
from havre.store.ports import Reader, Transaction

ops = Operations()
_PAIRS = ("GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext")
_DATA_KEYS = ("GenerateDataKey", "GenerateDataKeyWithoutPlaintext")
_FOR = {
    # what grants on keys of each use can be about
    ENCRYPT: ("Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", *_DATA_KEYS, *_PAIRS),
    SIGN: ("Sign", "Verify"),
    MAC: ("GenerateMac", "VerifyMac"),
    AGREE: ("DeriveSharedSecret",),
}
_ANY = ("CreateGrant", "RetireGrant", "DescribeKey", "GetPublicKey")
_TOKEN = 48


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


@ops("CreateGrant", resources=queries.about(), conditions=conditions.of_request, about=conditions.of_key)
async def create_grant(call: Call, request: Request) -> Answer:
    """With a name that a like grant has already, it is that one."""
    token = secrets.token_urlsafe(_TOKEN)
    id = secrets.token_hex(32)
    _check_named(request)

    def change(tx: Transaction) -> GrantR:
        key = queries.key(call, tx, request["KeyId"], alias=False)
        using.check_state(key)
        made = _grant(call, request, key, token)
        using.check_dry_run(request)
        for old in queries.grants(tx, key):
            if made.name and (old.spec.name, *_told(old.spec)) == (made.name, *_told(made)):
                return tx.update(old, spec=made)
        where = {"account": key.meta.account, "region": key.meta.region, "name": id, "arn": ""}
        return tx.create(GRANT, **where, spec=made, status=NoStatus())

    found = await call.store.transact(change)
    return {"GrantId": found.meta.name, "GrantToken": token}


def _told(grant: Grant) -> tuple[object, ...]:
    return grant.grantee, grant.operations, grant.retiring, grant.equals, grant.subset


def _check_named(request: Request) -> None:
    for name in ("Grantee", "Retiring"):
        if request.get(f"{name}Principal") and request.get(f"{name}ServicePrincipal"):
            raise errors.invalid(f"{name}Principal and {name}ServicePrincipal cannot be given together.")
    if not (request.get("GranteePrincipal") or request.get("GranteeServicePrincipal")):
        raise errors.invalid("GranteePrincipal is required.")


def _grant(call: Call, request: Request, key: KeyR, token: str) -> Grant:
    operations = tuple(request["Operations"])
    for name in operations:
        if name not in (*_FOR[key.spec.usage], *_ANY):
            raise errors.invalid(f"Operation {name} is not valid for a key of the usage {key.spec.usage}.")
    constraints = request.get("Constraints") or {}
    if constraints.get("SourceArn"):
        raise errors.absent("grants with the constraint SourceArn")
    grantee = request.get("GranteePrincipal") or request["GranteeServicePrincipal"]
    retiring = request.get("RetiringPrincipal") or request.get("RetiringServicePrincipal") or ""
    for principal in (grantee, retiring):
        _check_principal(principal)
    return Grant(
        key.meta.name, grantee, operations, f"arn:aws:iam::{call.account}:root", _digest(token),
        request.get("Name") or "", retiring,
        constraints.get("EncryptionContextEquals"), constraints.get("EncryptionContextSubset"),
    )  # fmt: skip


def _check_principal(name: str) -> None:
    if name and not name.startswith(("arn:aws:iam::", "arn:aws:sts::")) and not name.endswith(".amazonaws.com"):
        raise ApiError("InvalidArnException", f"ARN does not refer to a valid principal: {name}")


@ops("ListGrants", resources=queries.about(), conditions=conditions.of_request, about=conditions.of_key)
async def list_grants(call: Call, request: Request) -> Answer:
    key = queries.key(call, call.store, request["KeyId"], alias=False)
    found = queries.grants(call.store, key)
    if request.get("GrantId"):
        found = [r for r in found if r.meta.name == request["GrantId"]]
    grantee = request.get("GranteePrincipal") or request.get("GranteeServicePrincipal")
    if grantee:
        found = [r for r in found if r.spec.grantee == grantee]
    return _page(call, request, found)


@ops("ListRetirableGrants")
async def list_retirable_grants(call: Call, request: Request) -> Answer:
    retiring = request.get("RetiringPrincipal") or request.get("RetiringServicePrincipal") or ""
    return _page(call, request, call.store.find(GRANT, "retiring", scoped(call.account, call.region, retiring)))


def _page(call: Call, request: Request, found: Sequence[GrantR]) -> Answer:
    shown, rest = paging.page(call, request, found, lambda r: r.meta.name, 50)
    return {"Grants": [present.grant(r) for r in shown], **rest}


def _by_id(call: Call, reader: Reader, request: Request) -> GrantR:
    key = queries.key(call, reader, request["KeyId"], alias=False)
    found = reader.get(GRANT, key.meta.account, key.meta.region, request["GrantId"])
    if found is None or found.spec.key != key.meta.name:
        raise errors.not_found(f"Grant ID {request['GrantId']} not found")
    return found


@ops("RevokeGrant", resources=queries.about(), conditions=conditions.of_request, about=conditions.of_key)
async def revoke_grant(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        found = _by_id(call, tx, request)
        using.check_dry_run(request)
        tx.remove(found)

    await call.store.transact(change)
    return {}


def _retired(call: Call, request: Request) -> Sequence[str]:
    """The key of the grant, which a token alone may name."""
    if request.get("KeyId"):
        return (queries.arn_of(call, request["KeyId"]),)
    found = call.store.first(GRANT, "token", _digest(request.get("GrantToken") or ""))
    return ("*",) if found is None else (queries.Named(found.meta.account, found.meta.region, found.spec.key).arn,)


@ops("RetireGrant", resources=_retired, conditions=conditions.of_request, about=conditions.of_key)
async def retire_grant(call: Call, request: Request) -> Answer:
    token = request.get("GrantToken")
    if not token and not (request.get("KeyId") and request.get("GrantId")):
        raise errors.invalid("Either a GrantToken, or a KeyId and a GrantId must be given.")

    def change(tx: Transaction) -> None:
        found = tx.first(GRANT, "token", _digest(token)) if token else _by_id(call, tx, request)
        if found is None:
            raise ApiError("InvalidGrantTokenException", "Invalid grant token")
        using.check_dry_run(request)
        tx.remove(found)

    await call.store.transact(change)
    return {}
