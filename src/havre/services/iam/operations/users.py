"""Users and their access keys."""

from __future__ import annotations

import secrets
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.core.credentials import access_key_id, secret_key
from havre.kernel.errors import ApiError, not_built
from havre.kernel.resource import Resource
from havre.services.iam import present
from havre.services.iam.common import (
    NOTHING,
    QUOTAS,
    arn_of,
    by_path,
    conflict,
    everything,
    exists,
    holder,
    holder_arns,
    no_such,
    over_quota,
    page,
    path_of,
    quota_left,
    tags_of,
    unique_id,
    without_policies,
)
from havre.services.iam.operations.boundaries import checked_boundary, conditions
from havre.services.iam.resources import ACCESS_KEY, USER, AccessKey, User
from havre.store.ports import Reader, Transaction

ops = Operations()
_user = holder_arns("User")


@ops("CreateUser", resources=_user, conditions=conditions)
async def create_user(call: Call, request: Request) -> Answer:
    name, path = request["UserName"], path_of(request)
    boundary = checked_boundary(call, request.get("PermissionsBoundary", ""))
    spec = User(
        name, unique_id(call.world, "AIDA"), path, tags_of(request.get("Tags", ()), fold=True), boundary=boundary
    )

    def change(tx: Transaction) -> Resource[User, Any]:
        if tx.get(USER, call.account, "", name.lower()) is not None:
            raise exists(f"User with name {name} already exists.")
        quota_left(tx, USER, call.account, "UsersPerAccount", QUOTAS["UsersQuota"])
        arn = arn_of(call, "user", name, path)
        return tx.create(USER, account=call.account, region="", name=name.lower(), arn=arn, spec=spec, status=NOTHING)

    return {"User": present.user(await call.store.transact(change))}


@ops("GetUser", resources=_user)
async def get_user(call: Call, request: Request) -> Answer:
    who = call.principal
    if "UserName" not in request and who.kind == "Root":
        root = {"Path": "/", "UserName": "root", "UserId": who.account, "Arn": who.arn, "CreateDate": 0.0}
        return {"User": root}
    return {"User": present.user(holder(call.store, call.account, "User", own_name(call, request)))}


def own_name(call: Call, request: Request) -> str:
    """The user named, or the one who calls. Raises ValidationError for callers that are no users."""
    if "UserName" in request:
        return str(request["UserName"])
    if call.principal.kind != "IAMUser":
        raise ApiError("ValidationError", "Must specify userName when calling with non-User credentials")
    return call.principal.name


@ops("ListUsers", resources=everything("user"))
async def list_users(call: Call, request: Request) -> Answer:
    found, more = page(call, request, by_path(call.store.list(USER, call.account, ""), request), lambda r: r.meta.name)
    return {"Users": [present.user(r, full=False) for r in found], **more}


@ops("UpdateUser", resources=_user)
async def update_user(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        found = holder(tx, call.account, "User", request["UserName"])
        name = request.get("NewUserName", found.spec.name)
        path = path_of({"Path": request.get("NewPath", found.spec.path)})
        moved = name.lower() != found.meta.name
        if moved and tx.get(USER, call.account, "", name.lower()) is not None:
            raise exists(f"User with name {name} already exists.")
        spec = replace(found.spec, name=name, path=path)
        # the ARN holds name and path: the record is made anew under it, with its id, keys and groups
        keys = tx.find(ACCESS_KEY, "user", f"{call.account}|{found.meta.name}")
        tx.remove(found)
        arn = arn_of(call, "user", name, path)
        tx.create(USER, account=call.account, region="", name=name.lower(), arn=arn, spec=spec, status=NOTHING)
        for key in keys:
            tx.update(key, spec=replace(key.spec, user=name.lower()))

    await call.store.transact(change)
    return None


@ops("DeleteUser", resources=_user)
async def delete_user(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        found = holder(tx, call.account, "User", request["UserName"])
        without_policies(found)
        if found.spec.groups:
            raise conflict("Cannot delete entity, must remove users from group first.")
        if tx.find(ACCESS_KEY, "user", f"{call.account}|{found.meta.name}"):
            raise conflict("Cannot delete entity, must delete access keys first.")
        tx.remove(found)

    await call.store.transact(change)
    return None


@ops("CreateAccessKey", resources=_user)
async def create_access_key(call: Call, request: Request) -> Answer:
    if "UserName" not in request and call.principal.kind == "Root":
        raise not_built("iam", "CreateAccessKey for the root user: its key is made at the first start")
    name = own_name(call, request)
    key_id = access_key_id("AKIA", call.account, secrets.token_bytes(5))
    secret = secret_key(secrets.token_bytes(30))

    def change(tx: Transaction) -> tuple[Resource[AccessKey, Any], str]:
        user = holder(tx, call.account, "User", name)
        if len(tx.find(ACCESS_KEY, "user", f"{call.account}|{user.meta.name}")) >= QUOTAS["AccessKeysPerUserQuota"]:
            raise over_quota("AccessKeysPerUser", QUOTAS["AccessKeysPerUserQuota"])
        made = tx.create(
            ACCESS_KEY,
            account=call.account,
            region="",
            name=key_id,
            arn=arn_of(call, "access-key", key_id),
            spec=AccessKey(user.meta.name, secret, True, call.now),
            status=NOTHING,
        )
        return made, user.spec.name

    made, user_name = await call.store.transact(change)
    return {"AccessKey": present.access_key(made, user_name, secret=True)}


def _key(store: Reader, call: Call, request: Request) -> Resource[AccessKey, Any]:
    user = holder(store, call.account, "User", own_name(call, request))
    found = store.get(ACCESS_KEY, call.account, "", request["AccessKeyId"])
    if found is None or found.spec.user != user.meta.name:
        raise no_such(f"The Access Key with id {request['AccessKeyId']} cannot be found.")
    return found


@ops("UpdateAccessKey", resources=_user)
async def update_access_key(call: Call, request: Request) -> Answer:
    active = request["Status"] == "Active"

    def change(tx: Transaction) -> None:
        found = _key(tx, call, request)
        tx.update(found, spec=replace(found.spec, active=active))

    await call.store.transact(change)
    return None


@ops("DeleteAccessKey", resources=_user)
async def delete_access_key(call: Call, request: Request) -> Answer:
    await call.store.transact(lambda tx: tx.remove(_key(tx, call, request)))
    return None


@ops("ListAccessKeys", resources=_user)
async def list_access_keys(call: Call, request: Request) -> Answer:
    if "UserName" not in request and call.principal.kind == "Root":
        shown = {"AccessKeyId": call.principal.access_key, "Status": "Active", "CreateDate": 0.0}
        return {"AccessKeyMetadata": [shown], "IsTruncated": False}
    user = holder(call.store, call.account, "User", own_name(call, request))
    keys = call.store.find(ACCESS_KEY, "user", f"{call.account}|{user.meta.name}")
    found, more = page(call, request, keys, lambda r: r.meta.name)
    return {"AccessKeyMetadata": [present.access_key(k, user.spec.name) for k in found], **more}
