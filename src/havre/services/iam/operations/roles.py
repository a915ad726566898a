"""Roles, their trust policies, and the roles that are linked to AWS services."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.kernel.errors import ApiError
from havre.kernel.resource import Resource
from havre.services.iam import linked, present
from havre.services.iam.common import (
    NOTHING,
    QUOTAS,
    arn_of,
    by_path,
    checked_document,
    conflict,
    everything,
    exists,
    holder,
    holder_arns,
    invalid,
    no_such,
    over_quota,
    page,
    path_of,
    quota_left,
    size,
    tags_of,
    unique_id,
    without_policies,
)
from havre.services.iam.operations.boundaries import checked_boundary, conditions
from havre.services.iam.resources import PROFILE, ROLE, USER, Role
from havre.store.ports import Transaction

ops = Operations()
_role = holder_arns("Role")


def checked_trust(call: Call, text: str) -> str:
    """Raises MalformedPolicyDocument, LimitExceeded. Users and roles of this installation have to exist, as on AWS."""
    policy = checked_document(text, "trust")
    if size(text) > QUOTAS["AssumeRolePolicySizeQuota"]:
        raise over_quota("ACLSizePerRole", QUOTAS["AssumeRolePolicySizeQuota"])
    for of, value in policy.principals:
        parts = value.split(":", 5)
        if of != "AWS" or len(parts) != 6:
            continue
        kind, _, name = parts[5].partition("/")
        table: Any = {"user": USER, "role": ROLE}.get(kind)
        if table is None:
            continue
        found = call.store.get(table, parts[4], "", name.rsplit("/", 1)[-1].lower())
        if found is None or found.meta.arn != value:
            raise ApiError("MalformedPolicyDocument", f'Invalid principal in policy: "{of}":"{value}"')
    return text


def _new(call: Call, request: Request) -> Role:
    return Role(
        name=request["RoleName"],
        id=unique_id(call.world, "AROA"),
        trust=checked_trust(call, request["AssumeRolePolicyDocument"]),
        path=path_of(request),
        description=request.get("Description", ""),
        max_session=request.get("MaxSessionDuration", 3600),
        tags=tags_of(request.get("Tags", ()), fold=True),
        boundary=checked_boundary(call, request.get("PermissionsBoundary", "")),
    )


async def _create(call: Call, spec: Role, refusal: ApiError) -> Resource[Role, Any]:
    def change(tx: Transaction) -> Resource[Role, Any]:
        if tx.get(ROLE, call.account, "", spec.name.lower()) is not None:
            raise refusal
        quota_left(tx, ROLE, call.account, "RolesPerAccount", QUOTAS["RolesQuota"])
        return tx.create(
            ROLE,
            account=call.account,
            region="",
            name=spec.name.lower(),
            arn=arn_of(call, "role", spec.name, spec.path),
            spec=spec,
            status=NOTHING,
        )

    return await call.store.transact(change)


@ops("CreateRole", resources=_role, conditions=conditions)
async def create_role(call: Call, request: Request) -> Answer:
    if request.get("Path", "/").startswith("/aws-service-role/"):
        raise invalid("Role path cannot start with /aws-service-role/.")
    spec = _new(call, request)
    made = await _create(call, spec, exists(f"Role with name {spec.name} already exists."))
    return {"Role": present.role(made, "create")}


@ops("GetRole", resources=_role)
async def get_role(call: Call, request: Request) -> Answer:
    return {"Role": present.role(holder(call.store, call.account, "Role", request["RoleName"]))}


@ops("ListRoles", resources=everything("role"))
async def list_roles(call: Call, request: Request) -> Answer:
    found, more = page(call, request, by_path(call.store.list(ROLE, call.account, ""), request), lambda r: r.meta.name)
    return {"Roles": [present.role(r, "list") for r in found], **more}


async def _change(call: Call, name: str, changes: Mapping[str, Any]) -> Resource[Role, Any]:
    def change(tx: Transaction) -> Resource[Role, Any]:
        found: Resource[Role, Any] = holder(tx, call.account, "Role", name)
        if found.spec.service:
            raise _protected(name, found.spec.service)
        return tx.update(found, spec=replace(found.spec, **changes))

    return await call.store.transact(change)


def _protected(name: str, service: str) -> ApiError:
    return ApiError(
        "UnmodifiableEntity",
        f"Cannot perform the operation on the protected role '{name}' - this role is only modifiable by AWS",
    )


@ops("UpdateRole", resources=_role)
async def update_role(call: Call, request: Request) -> Answer:
    members = {"description": "Description", "max_session": "MaxSessionDuration"}
    changes = {field: request[member] for field, member in members.items() if member in request}
    await _change(call, request["RoleName"], changes)
    return {}


@ops("UpdateRoleDescription", resources=_role)
async def update_role_description(call: Call, request: Request) -> Answer:
    changed = await _change(call, request["RoleName"], {"description": request["Description"]})
    return {"Role": present.role(changed, "change")}


@ops("UpdateAssumeRolePolicy", resources=_role)
async def update_assume_role_policy(call: Call, request: Request) -> Answer:
    holder(call.store, call.account, "Role", request["RoleName"])
    await _change(call, request["RoleName"], {"trust": checked_trust(call, request["PolicyDocument"])})
    return None


@ops("DeleteRole", resources=_role)
async def delete_role(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        found = holder(tx, call.account, "Role", request["RoleName"])
        if found.spec.service:
            raise _protected(request["RoleName"], found.spec.service)
        if tx.find(PROFILE, "role", f"{call.account}|{found.meta.name}"):
            raise conflict("Cannot delete entity, must remove roles from instance profile first.")
        without_policies(found)
        tx.remove(found)

    await call.store.transact(change)
    return None


# Service-linked roles


def _linked_arns(call: Call, request: Request) -> Sequence[str]:
    service = request["AWSServiceName"]
    name = linked.role_name(service, request.get("CustomSuffix", "")) or "*"
    return (arn_of(call, "role", name, f"/aws-service-role/{service}/"),)


@ops(
    "CreateServiceLinkedRole",
    resources=_linked_arns,
    conditions=lambda call, request: {"iam:AWSServiceName": request["AWSServiceName"]},
)
async def create_service_linked_role(call: Call, request: Request) -> Answer:
    service, suffix = request["AWSServiceName"], request.get("CustomSuffix", "")
    name = linked.role_name(service, suffix)
    if name is None:
        raise invalid(f"Service role name for {service} is not known. Please specify a valid service.")
    spec = Role(
        name=name,
        id=unique_id(call.world, "AROA"),
        trust=linked.trust(service),
        path=f"/aws-service-role/{service}/",
        description=request.get("Description", ""),
        attached=linked.policies(service),
        service=service,
    )
    taken = f"Service role name {name} has been taken in this account, please try a different suffix."
    return {"Role": present.role(await _create(call, spec, invalid(taken)), "create")}


@ops("DeleteServiceLinkedRole", resources=_role)
async def delete_service_linked_role(call: Call, request: Request) -> Answer:
    """The role goes at once: what the service still runs does not depend on it here."""
    name = request["RoleName"]

    def change(tx: Transaction) -> str:
        found = holder(tx, call.account, "Role", name)
        if not found.spec.service:
            raise invalid(f"Role {name} is not a service-linked role.")
        tx.remove(found)
        return str(found.spec.service)

    service = await call.store.transact(change)
    return {"DeletionTaskId": f"task/aws-service-role/{service}/{name}/{call.world.uuid()}"}


@ops("GetServiceLinkedRoleDeletionStatus", read_only=True)
async def get_deletion_status(call: Call, request: Request) -> Answer:
    parts = request["DeletionTaskId"].split("/")
    if len(parts) != 5 or parts[:2] != ["task", "aws-service-role"]:
        raise no_such(f"Deletion task id {request['DeletionTaskId']} cannot be found.")
    gone = call.store.get(ROLE, call.account, "", parts[3].lower()) is None
    return {"Status": "SUCCEEDED" if gone else "FAILED"}
