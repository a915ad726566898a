"""Instance profiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.kernel.errors import ApiError
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
    page,
    path_of,
    quota_left,
    tags_of,
    unique_id,
)
from havre.services.iam.resources import PROFILE, InstanceProfile
from havre.store.ports import Reader, Transaction

ops = Operations()


def _profile(store: Reader, account: str, name: str) -> Resource[InstanceProfile, Any]:
    found = store.get(PROFILE, account, "", name.lower())
    if found is None:
        raise no_such(f"Instance Profile {name} cannot be found.")
    return found


def _arns(call: Call, request: Request) -> Sequence[str]:
    name = request["InstanceProfileName"]
    found = call.store.get(PROFILE, call.account, "", name.lower())
    return (found.meta.arn if found else arn_of(call, "instance-profile", name, request.get("Path", "/")),)


@ops("CreateInstanceProfile", resources=_arns)
async def create_instance_profile(call: Call, request: Request) -> Answer:
    name, path = request["InstanceProfileName"], path_of(request)
    spec = InstanceProfile(name, unique_id(call.world, "AIPA"), path, tags=tags_of(request.get("Tags", ())))

    def change(tx: Transaction) -> Resource[InstanceProfile, Any]:
        if tx.get(PROFILE, call.account, "", name.lower()) is not None:
            raise exists(f"Instance Profile {name} already exists.")
        quota_left(tx, PROFILE, call.account, "InstanceProfilesPerAccount", QUOTAS["InstanceProfilesQuota"])
        arn = arn_of(call, "instance-profile", name, path)
        return tx.create(
            PROFILE, account=call.account, region="", name=name.lower(), arn=arn, spec=spec, status=NOTHING
        )

    made = await call.store.transact(change)
    return {"InstanceProfile": present.profile(call.store, made, "create")}


@ops("GetInstanceProfile", resources=_arns)
async def get_instance_profile(call: Call, request: Request) -> Answer:
    found = _profile(call.store, call.account, request["InstanceProfileName"])
    return {"InstanceProfile": present.profile(call.store, found)}


@ops("ListInstanceProfiles", resources=everything("instance-profile"))
async def list_instance_profiles(call: Call, request: Request) -> Answer:
    found, more = page(
        call, request, by_path(call.store.list(PROFILE, call.account, ""), request), lambda r: r.meta.name
    )
    return {"InstanceProfiles": [present.profile(call.store, r, "list") for r in found], **more}


@ops("ListInstanceProfilesForRole", resources=holder_arns("Role"))
async def list_instance_profiles_for_role(call: Call, request: Request) -> Answer:
    role = holder(call.store, call.account, "Role", request["RoleName"])
    rows = call.store.find(PROFILE, "role", f"{call.account}|{role.meta.name}")
    found, more = page(call, request, rows, lambda r: r.meta.name)
    return {"InstanceProfiles": [present.profile(call.store, r, "list") for r in found], **more}


@ops("AddRoleToInstanceProfile", resources=_arns)
async def add_role_to_instance_profile(call: Call, request: Request) -> Answer:
    role = holder(call.store, call.account, "Role", request["RoleName"])
    await call.authorize("iam:PassRole", (role.meta.arn,), {"iam:PassedToService": "ec2.amazonaws.com"})

    def change(tx: Transaction) -> None:
        found = _profile(tx, call.account, request["InstanceProfileName"])
        held = holder(tx, call.account, "Role", request["RoleName"])
        if found.spec.role:
            raise ApiError("LimitExceeded", "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1")
        tx.update(found, spec=replace(found.spec, role=held.meta.name))

    await call.store.transact(change)
    return None


@ops("RemoveRoleFromInstanceProfile", resources=_arns)
async def remove_role_from_instance_profile(call: Call, request: Request) -> Answer:
    name = request["RoleName"]

    def change(tx: Transaction) -> None:
        found = _profile(tx, call.account, request["InstanceProfileName"])
        if found.spec.role != name.lower():
            raise no_such(f"Role {name} does not exist in the instance profile {found.spec.name}.")
        tx.update(found, spec=replace(found.spec, role=""))

    await call.store.transact(change)
    return None


@ops("DeleteInstanceProfile", resources=_arns)
async def delete_instance_profile(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        found = _profile(tx, call.account, request["InstanceProfileName"])
        if found.spec.role:
            raise conflict("Cannot delete entity, must remove roles from instance profile first.")
        tx.remove(found)

    await call.store.transact(change)
    return None
