"""Resource → the shapes that IAM answers with."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from havre.control.tags import shown as shown_tags
from havre.kernel.resource import Resource
from havre.services.iam import managed
from havre.services.iam.common import shown_document
from havre.services.iam.resources import ROLE, AccessKey, Group, InstanceProfile, ManagedPolicy, Role, User, Version
from havre.store.ports import Reader


def _boundary(arn: str) -> dict[str, Any]:
    return {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn}


def user(r: Resource[User, Any], full: bool = True) -> dict[str, Any]:
    out: dict[str, Any] = {
        "Path": r.spec.path,
        "UserName": r.spec.name,
        "UserId": r.spec.id,
        "Arn": r.meta.arn,
        "CreateDate": r.meta.created,
    }
    if full and r.spec.boundary:
        out["PermissionsBoundary"] = _boundary(r.spec.boundary)
    if full and r.spec.tags:
        out["Tags"] = shown_tags(r.spec.tags)
    return out


def group(r: Resource[Group, Any]) -> dict[str, Any]:
    return {
        "Path": r.spec.path,
        "GroupName": r.spec.name,
        "GroupId": r.spec.id,
        "Arn": r.meta.arn,
        "CreateDate": r.meta.created,
    }


def role(r: Resource[Role, Any], answer: str = "get") -> dict[str, Any]:
    """``answer``: AWS shows a role whole to get, and otherwise what it shows to create, change, list, or within another
    resource (nested)."""
    out: dict[str, Any] = {
        "Path": r.spec.path,
        "RoleName": r.spec.name,
        "RoleId": r.spec.id,
        "Arn": r.meta.arn,
        "CreateDate": r.meta.created,
        "AssumeRolePolicyDocument": shown_document(r.spec.trust),
    }
    if answer in ("get", "list"):
        out["MaxSessionDuration"] = r.spec.max_session
    if r.spec.description and answer in ("get", "list", "change"):
        out["Description"] = r.spec.description
    if r.spec.boundary and answer not in ("list", "nested"):
        out["PermissionsBoundary"] = _boundary(r.spec.boundary)
    if r.spec.tags and answer not in ("list", "nested"):
        out["Tags"] = shown_tags(r.spec.tags)
    if answer == "get":
        out["RoleLastUsed"] = {}
    return out


def access_key(r: Resource[AccessKey, Any], user_name: str, secret: bool = False) -> dict[str, Any]:
    """``secret``: once only, in the answer that creates the key."""
    out: dict[str, Any] = {
        "UserName": user_name,
        "AccessKeyId": r.meta.name,
        "Status": "Active" if r.spec.active else "Inactive",
        "CreateDate": r.spec.created,
    }
    if secret:
        out["SecretAccessKey"] = r.spec.secret
    return out


def profile(store: Reader, r: Resource[InstanceProfile, Any], answer: str = "get") -> dict[str, Any]:
    held = store.get(ROLE, r.meta.account, "", r.spec.role) if r.spec.role else None
    out: dict[str, Any] = {
        "Path": r.spec.path,
        "InstanceProfileName": r.spec.name,
        "InstanceProfileId": r.spec.id,
        "Arn": r.meta.arn,
        "CreateDate": r.meta.created,
        "Roles": [role(held, "nested")] if held is not None else [],
    }
    if answer == "get" or (r.spec.tags and answer == "create"):
        out["Tags"] = shown_tags(r.spec.tags)
    return out


def policy(r: Resource[ManagedPolicy, Any], used: tuple[int, int], answer: str = "get") -> dict[str, Any]:
    """``used``: how often attached, how often a boundary. ``answer``: get, create or list."""
    out: dict[str, Any] = {
        "PolicyName": r.spec.name,
        "PolicyId": r.spec.id,
        "Arn": r.meta.arn,
        "Path": r.spec.path,
        "DefaultVersionId": f"v{r.spec.default}",
        "AttachmentCount": used[0],
        "PermissionsBoundaryUsageCount": used[1],
        "IsAttachable": True,
        "CreateDate": r.meta.created,
        "UpdateDate": r.spec.updated,
    }
    if answer == "get" and r.spec.description:
        out["Description"] = r.spec.description
    if answer == "get" or (r.spec.tags and answer == "create"):
        out["Tags"] = shown_tags(r.spec.tags)
    return out


def version(v: Version, default: int, document: bool = False) -> dict[str, Any]:
    out: dict[str, Any] = {
        "VersionId": f"v{v.number}",
        "IsDefaultVersion": v.number == default,
        "CreateDate": v.created,
    }
    return out | {"Document": shown_document(v.document)} if document else out


def _date(text: str) -> float:
    return datetime.fromisoformat(f"{text}T18:40:00+00:00").timestamp()


def aws_policy(p: managed.AwsPolicy, used: tuple[int, int], full: bool = True) -> dict[str, Any]:
    path, _, name = f"/{p.name}".rpartition("/")
    out: dict[str, Any] = {
        "PolicyName": name,
        "PolicyId": p.id,
        "Arn": p.arn,
        "Path": f"{path}/",
        "DefaultVersionId": f"v{p.version}",
        "AttachmentCount": used[0],
        "PermissionsBoundaryUsageCount": used[1],
        "IsAttachable": True,
        "CreateDate": _date(p.created),
        "UpdateDate": _date(p.created),
    }
    if full:
        note = f" (In Havre: {p.approximate})" if p.approximate else ""
        out["Description"] = p.description + note
        out["Tags"] = []
    return out


def aws_version(p: managed.AwsPolicy, document: bool = True) -> dict[str, Any]:
    out: dict[str, Any] = {"VersionId": f"v{p.version}", "IsDefaultVersion": True, "CreateDate": _date(p.created)}
    return out | {"Document": shown_document(p.text)} if document else out
