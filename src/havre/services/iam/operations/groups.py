"""Groups and who is in them."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
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
    over_quota,
    page,
    path_of,
    quota_left,
    unique_id,
    without_policies,
)
from havre.services.iam.resources import GROUP, USER, Group
from havre.store.ports import Transaction

ops = Operations()
_group = holder_arns("Group")


@ops("CreateGroup", resources=_group)
async def create_group(call: Call, request: Request) -> Answer:
    name, path = request["GroupName"], path_of(request)
    spec = Group(name, unique_id(call.world, "AGPA"), path)

    def change(tx: Transaction) -> Resource[Group, Any]:
        if tx.get(GROUP, call.account, "", name.lower()) is not None:
            raise exists(f"Group with name {name} already exists.")
        quota_left(tx, GROUP, call.account, "GroupsPerAccount", QUOTAS["GroupsQuota"])
        arn = arn_of(call, "group", name, path)
        return tx.create(GROUP, account=call.account, region="", name=name.lower(), arn=arn, spec=spec, status=NOTHING)

    return {"Group": present.group(await call.store.transact(change))}


@ops("GetGroup", resources=_group)
async def get_group(call: Call, request: Request) -> Answer:
    found = holder(call.store, call.account, "Group", request["GroupName"])
    members = call.store.find(USER, "group", f"{call.account}|{found.meta.name}")
    shown, more = page(call, request, members, lambda r: r.meta.name)
    return {"Group": present.group(found), "Users": [present.user(u, full=False) for u in shown], **more}


@ops("ListGroups", resources=everything("group"))
async def list_groups(call: Call, request: Request) -> Answer:
    found, more = page(call, request, by_path(call.store.list(GROUP, call.account, ""), request), lambda r: r.meta.name)
    return {"Groups": [present.group(r) for r in found], **more}


@ops("ListGroupsForUser", resources=holder_arns("User"))
async def list_groups_for_user(call: Call, request: Request) -> Answer:
    user = holder(call.store, call.account, "User", request["UserName"])
    groups = [holder(call.store, call.account, "Group", g) for g in sorted(user.spec.groups)]
    found, more = page(call, request, groups, lambda r: r.meta.name)
    return {"Groups": [present.group(r) for r in found], **more}


@ops("UpdateGroup", resources=_group)
async def update_group(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        found = holder(tx, call.account, "Group", request["GroupName"])
        name = request.get("NewGroupName", found.spec.name)
        path = path_of({"Path": request.get("NewPath", found.spec.path)})
        if name.lower() != found.meta.name and tx.get(GROUP, call.account, "", name.lower()) is not None:
            raise exists(f"Group with name {name} already exists.")
        members = tx.find(USER, "group", f"{call.account}|{found.meta.name}")
        tx.remove(found)
        arn, spec = arn_of(call, "group", name, path), replace(found.spec, name=name, path=path)
        tx.create(GROUP, account=call.account, region="", name=name.lower(), arn=arn, spec=spec, status=NOTHING)
        for user in members:
            groups = tuple(name.lower() if g == found.meta.name else g for g in user.spec.groups)
            tx.update(user, spec=replace(user.spec, groups=groups))

    await call.store.transact(change)
    return None


@ops("DeleteGroup", resources=_group)
async def delete_group(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        found = holder(tx, call.account, "Group", request["GroupName"])
        if tx.find(USER, "group", f"{call.account}|{found.meta.name}"):
            raise conflict("Cannot delete entity, must remove users from group first.")
        without_policies(found)
        tx.remove(found)

    await call.store.transact(change)
    return None


@ops("AddUserToGroup", resources=_group)
async def add_user_to_group(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        user = holder(tx, call.account, "User", request["UserName"])
        group = holder(tx, call.account, "Group", request["GroupName"])
        if group.meta.name in user.spec.groups:
            return
        if len(user.spec.groups) >= QUOTAS["GroupsPerUserQuota"]:
            raise over_quota("GroupsPerUser", QUOTAS["GroupsPerUserQuota"])
        tx.update(user, spec=replace(user.spec, groups=(*user.spec.groups, group.meta.name)))

    await call.store.transact(change)
    return None


@ops("RemoveUserFromGroup", resources=_group)
async def remove_user_from_group(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        user = holder(tx, call.account, "User", request["UserName"])
        group = holder(tx, call.account, "Group", request["GroupName"])
        left = tuple(g for g in user.spec.groups if g != group.meta.name)
        if left != user.spec.groups:
            tx.update(user, spec=replace(user.spec, groups=left))

    await call.store.transact(change)
    return None
