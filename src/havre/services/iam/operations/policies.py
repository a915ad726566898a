"""Managed policies and their versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.kernel.errors import ApiError
from havre.kernel.resource import Resource
from havre.services.iam import managed, present
from havre.services.iam.common import (
    KINDS,
    NOTHING,
    QUOTAS,
    arn_of,
    checked_document,
    conflict,
    everything,
    invalid,
    no_such,
    over_quota,
    page,
    path_of,
    quota_left,
    size,
    tags_of,
    unique_id,
)
from havre.services.iam.resources import POLICY, ManagedPolicy, Version
from havre.store.ports import Reader, Transaction

ops = Operations()


def policy_arns(call: Call, request: Request) -> Sequence[str]:
    return (request["PolicyArn"],)


def _new_arns(call: Call, request: Request) -> Sequence[str]:
    return (arn_of(call, "policy", request["PolicyName"], request.get("Path", "/")),)


def usage(store: Reader, account: str, arn: str) -> tuple[int, int]:
    """How often attached, how often a boundary, in this account."""
    attached = sum(store.count(k, "policy", f"{account}|{arn}") for k in KINDS.values())
    boundary = sum(store.count(KINDS[k], "policy", f"{account}|boundary|{arn}") for k in ("User", "Role"))
    return attached, boundary


def own_policy(store: Reader, account: str, arn: str) -> Resource[ManagedPolicy, Any]:
    """Raises NoSuchEntity; AccessDenied for what AWS manages."""
    for found in store.find(POLICY, "arn", arn):
        if found.meta.account == account:
            return found
    if managed.find(arn) is not None:
        raise ApiError("AccessDenied", f"Policy {arn} is managed by AWS and cannot be changed.", 403)
    raise no_such(f"Policy {arn} was not found.")


def _read(store: Reader, call: Call, request: Request) -> Resource[ManagedPolicy, Any]:
    """The policy that a version is asked of. Raises NoSuchEntity, as of a version that is not there."""
    arn = request["PolicyArn"]
    try:
        return own_policy(store, call.account, arn)
    except ApiError as error:
        if error.code != "NoSuchEntity":
            raise
        raise _no_version(arn, request["VersionId"]) from None


def _no_version(arn: str, name: str) -> ApiError:
    return no_such(f"Policy {arn} version {name} does not exist or is not attachable.")


def _checked(text: str) -> str:
    checked_document(text, "managed")
    if size(text) > QUOTAS["PolicySizeQuota"]:
        raise over_quota("PolicySize", QUOTAS["PolicySizeQuota"])
    return text


@ops("CreatePolicy", resources=_new_arns)
async def create_policy(call: Call, request: Request) -> Answer:
    name, path = request["PolicyName"], path_of(request)
    spec = ManagedPolicy(
        name=name,
        id=unique_id(call.world, "ANPA"),
        versions=(Version(1, _checked(request["PolicyDocument"]), call.now),),
        path=path,
        description=request.get("Description", ""),
        tags=tags_of(request.get("Tags", ())),
        updated=call.now,
    )

    def change(tx: Transaction) -> Resource[ManagedPolicy, Any]:
        if tx.get(POLICY, call.account, "", name.lower()) is not None:
            raise ApiError(
                "EntityAlreadyExists", f"A policy called {name} already exists. Duplicate names are not allowed."
            )
        quota_left(tx, POLICY, call.account, "PoliciesPerAccount", QUOTAS["PoliciesQuota"])
        return tx.create(
            POLICY,
            account=call.account,
            region="",
            name=name.lower(),
            arn=arn_of(call, "policy", name, path),
            spec=spec,
            status=NOTHING,
        )

    return {"Policy": present.policy(await call.store.transact(change), (0, 0), "create")}


@ops("GetPolicy", resources=policy_arns)
async def get_policy(call: Call, request: Request) -> Answer:
    arn = request["PolicyArn"]
    used = usage(call.store, call.account, arn)
    aws = managed.find(arn)
    if aws is not None:
        return {"Policy": present.aws_policy(aws, used)}
    return {"Policy": present.policy(own_policy(call.store, call.account, arn), used)}


@ops("ListPolicies", resources=everything("policy"))
async def list_policies(call: Call, request: Request) -> Answer:
    scope, prefix = request.get("Scope", "All"), request.get("PathPrefix", "/")
    usage_filter = request.get("PolicyUsageFilter", "")
    shown: list[dict[str, Any]] = []
    if scope in ("All", "Local"):
        for own in call.store.list(POLICY, call.account, ""):
            shown.append(present.policy(own, usage(call.store, call.account, own.meta.arn), "list"))
    if scope in ("All", "AWS"):
        for aws in managed.catalogue().values():
            shown.append(present.aws_policy(aws, usage(call.store, call.account, aws.arn), full=False))
    shown = [p for p in shown if p["Path"].startswith(prefix)]
    if request.get("OnlyAttached"):
        shown = [p for p in shown if p["AttachmentCount"]]
    if usage_filter == "PermissionsBoundary":
        shown = [p for p in shown if p["PermissionsBoundaryUsageCount"]]
    shown.sort(key=lambda p: str(p["Arn"]))
    found, more = page(call, request, shown, lambda p: str(p["Arn"]))
    return {"Policies": found, **more}


@ops("DeletePolicy", resources=policy_arns)
async def delete_policy(call: Call, request: Request) -> Answer:
    arn = request["PolicyArn"]

    def change(tx: Transaction) -> None:
        found = own_policy(tx, call.account, arn)
        if any(usage(tx, call.account, arn)):
            raise conflict("Cannot delete a policy attached to entities.")
        if len(found.spec.versions) > 1:
            raise conflict(
                "This policy has more than one version. Before you delete a policy, you must delete the policy's "
                "versions. The default version is deleted with the policy."
            )
        tx.remove(found)

    await call.store.transact(change)
    return None


@ops("CreatePolicyVersion", resources=policy_arns)
async def create_policy_version(call: Call, request: Request) -> Answer:
    document = _checked(request["PolicyDocument"])

    def change(tx: Transaction) -> ManagedPolicy:
        found = own_policy(tx, call.account, request["PolicyArn"])
        spec = found.spec
        if len(spec.versions) >= QUOTAS["VersionsPerPolicyQuota"]:
            raise ApiError(
                "LimitExceeded",
                "A managed policy can have up to 5 versions. Before you create a new version, you must delete an "
                "existing version.",
            )
        made = Version(spec.next, document, call.now)
        default = made.number if request.get("SetAsDefault") else spec.default
        spec = replace(spec, versions=(*spec.versions, made), next=spec.next + 1, default=default, updated=call.now)
        tx.update(found, spec=spec)
        return spec

    spec = await call.store.transact(change)
    return {"PolicyVersion": present.version(spec.versions[-1], spec.default)}


def _version(spec: ManagedPolicy, arn: str, name: str) -> Version:
    for each in spec.versions:
        if f"v{each.number}" == name:
            return each
    raise _no_version(arn, name)


@ops("GetPolicyVersion", resources=policy_arns)
async def get_policy_version(call: Call, request: Request) -> Answer:
    arn, name = request["PolicyArn"], request["VersionId"]
    aws = managed.find(arn)
    if aws is not None:
        if name != f"v{aws.version}":
            raise _no_version(arn, name)
        return {"PolicyVersion": present.aws_version(aws)}
    spec = _read(call.store, call, request).spec
    return {"PolicyVersion": present.version(_version(spec, arn, name), spec.default, document=True)}


@ops("ListPolicyVersions", resources=policy_arns)
async def list_policy_versions(call: Call, request: Request) -> Answer:
    aws = managed.find(request["PolicyArn"])
    if aws is not None:
        return {"Versions": [present.aws_version(aws, document=False)], "IsTruncated": False}
    spec = own_policy(call.store, call.account, request["PolicyArn"]).spec
    newest_first = sorted(spec.versions, key=lambda v: -v.number)
    found, more = page(call, request, newest_first, lambda v: f"{10**9 - v.number:010d}")
    return {"Versions": [present.version(v, spec.default) for v in found], **more}


@ops("SetDefaultPolicyVersion", resources=policy_arns)
async def set_default_policy_version(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        found = _read(tx, call, request)
        chosen = _version(found.spec, found.meta.arn, request["VersionId"])
        tx.update(found, spec=replace(found.spec, default=chosen.number, updated=call.now))

    await call.store.transact(change)
    return None


@ops("DeletePolicyVersion", resources=policy_arns)
async def delete_policy_version(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        found = own_policy(tx, call.account, request["PolicyArn"])
        gone = _version(found.spec, found.meta.arn, request["VersionId"])
        if gone.number == found.spec.default:
            raise conflict("Cannot delete the default version of a policy.")
        left = tuple(v for v in found.spec.versions if v is not gone)
        tx.update(found, spec=replace(found.spec, versions=left, updated=call.now))

    await call.store.transact(change)
    return None


@ops("ListEntitiesForPolicy", resources=policy_arns)
async def list_entities_for_policy(call: Call, request: Request) -> Answer:
    arn = request["PolicyArn"]
    if managed.find(arn) is None:
        own_policy(call.store, call.account, arn)
    wanted, prefix = request.get("EntityFilter", ""), request.get("PathPrefix", "/")
    if wanted in ("LocalManagedPolicy", "AWSManagedPolicy"):
        raise invalid(f"Invalid EntityFilter: {wanted}")
    boundary = request.get("PolicyUsageFilter") == "PermissionsBoundary"
    value = f"{call.account}|boundary|{arn}" if boundary else f"{call.account}|{arn}"
    rows = [
        (kind, r)
        for kind, table in sorted(KINDS.items())
        if wanted in ("", kind)
        for r in call.store.find(table, "policy", value)
        if r.spec.path.startswith(prefix)
    ]
    found, more = page(call, request, rows, lambda row: f"{row[0]}/{row[1].meta.name}")
    answer: dict[str, Any] = {f"Policy{kind}s": [] for kind in KINDS}
    for kind, r in found:
        answer[f"Policy{kind}s"].append({f"{kind}Name": r.spec.name, f"{kind}Id": r.spec.id})
    return {**answer, **more}
