"""What IAM's operations share: finding and refusing, ids, paths, tags, pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

from havre.control.operation import Call, Request
from havre.control.paging import Paging
from havre.core.policy import Policy, PolicyError, parse
from havre.kernel.errors import ApiError
from havre.kernel.resource import Kind, NoStatus, Resource
from havre.kernel.world import World
from havre.services.iam.resources import GROUP, ROLE, USER, Group, Role, User
from havre.store.ports import Reader, Transaction

S = TypeVar("S", User, Group, Role)
I = TypeVar("I")  # noqa: E741 (an item)
Holder = Resource[Any, NoStatus]
"""A user, a group or a role: what policies hang on."""

NOTHING = NoStatus()
_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
PAGE = 100
_PAGING = Paging("MaxItems", "Marker", "ValidationError", "Invalid Marker.")
MOST_TAGS = 50

KINDS: Mapping[str, Kind[Any, NoStatus]] = {"User": USER, "Group": GROUP, "Role": ROLE}
QUOTAS = {
    "AccessKeysPerUserQuota": 2,
    "AssumeRolePolicySizeQuota": 2048,
    "AttachedPoliciesPerGroupQuota": 10,
    "AttachedPoliciesPerRoleQuota": 10,
    "AttachedPoliciesPerUserQuota": 10,
    "GroupPolicySizeQuota": 5120,
    "GroupsPerUserQuota": 10,
    "GroupsQuota": 300,
    "InstanceProfilesQuota": 1000,
    "PoliciesQuota": 1500,
    "PolicySizeQuota": 6144,
    "RolePolicySizeQuota": 10240,
    "RolesQuota": 1000,
    "ServerCertificatesQuota": 20,
    "UserPolicySizeQuota": 2048,
    "UsersQuota": 5000,
    "VersionsPerPolicyQuota": 5,
}


def no_such(what: str) -> ApiError:
    return ApiError("NoSuchEntity", what)


def exists(what: str) -> ApiError:
    return ApiError("EntityAlreadyExists", what)


def invalid(what: str) -> ApiError:
    return ApiError("InvalidInput", what)


def conflict(what: str) -> ApiError:
    return ApiError("DeleteConflict", what)


def over_quota(name: str, limit: int) -> ApiError:
    return ApiError("LimitExceeded", f"Cannot exceed quota for {name}: {limit}")


def unique_id(world: World, prefix: str) -> str:
    """``AIDA``, ``AROA``, ``AGPA``, ``ANPA``, ``AIPA`` and 17 characters."""
    return prefix + "".join(world.chance.choices(_BASE32, k=17))


def holder(store: Reader, account: str, kind: str, name: str) -> Holder:
    """``kind``: User, Group or Role. Raises NoSuchEntity."""
    found: Holder | None = store.get(KINDS[kind], account, "", name.lower())
    if found is None:
        raise no_such(f"The {kind.lower()} with name {name} cannot be found.")
    return found


def without_policies(found: Holder) -> None:
    """Raises DeleteConflict for one that has some still."""
    if found.spec.attached:
        raise conflict("Cannot delete entity, must detach all policies first.")
    if found.spec.inline:
        raise conflict("Cannot delete entity, must delete policies first.")


def arn_of(call: Call, kind: str, name: str, path: str = "/") -> str:
    return f"arn:aws:iam::{call.account}:{kind}{path}{name}"


def holder_arns(kind: str) -> Callable[[Call, Request], Sequence[str]]:
    """The ARN that IAM decides on: that of the named entity with its path, or of the one to be made."""

    def arns(call: Call, request: Request) -> Sequence[str]:
        name = request.get(f"{kind}Name")
        if name is None:
            return (call.principal.arn if call.principal.kind == "IAMUser" else "*",)
        found = call.store.get(KINDS[kind], call.account, "", str(name).lower())
        if found is not None:
            return (found.meta.arn,)
        return (arn_of(call, kind.lower(), str(name), str(request.get("Path", "/"))),)

    return arns


def everything(kind: str) -> Callable[[Call, Request], Sequence[str]]:
    """The ARN of List actions: all of a kind below a path."""
    return lambda call, request: (arn_of(call, kind, "*" if kind == "policy" else "", request.get("PathPrefix", "/")),)


def path_of(request: Request) -> str:
    path: str = request.get("Path", "/")
    if not path.startswith("/") or not path.endswith("/") or "//" in path:
        raise ApiError(
            "ValidationError",
            "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric "
            "characters and/or / characters.",
        )
    return path


def tags_of(
    given: Sequence[Mapping[str, str]], before: Mapping[str, str] | None = None, fold: bool = False
) -> dict[str, str]:
    """``before`` with the given tags added. ``fold``: keys that differ in case only are one key, as users and roles have
    it. Raises InvalidInput, LimitExceeded."""
    names = [_tag_name(t["Key"], fold) for t in given]
    if len(set(names)) != len(names):
        more = " Please note that Tag keys are case insensitive." if fold else ""
        raise invalid(f"Duplicate tag keys found.{more}")
    for tag in given:
        if tag["Key"].lower().startswith("aws:"):
            raise invalid("Caller is not allowed to use tag keys that start with aws:")
    added = {t["Key"]: t.get("Value", "") for t in given}
    kept = {k: v for k, v in (before or {}).items() if _tag_name(k, fold) not in names}
    tags = kept | added
    if len(tags) > MOST_TAGS:
        raise ApiError("LimitExceeded", "The number of tags has reached the maximum limit.")
    return tags


def _tag_name(key: str, fold: bool) -> str:
    return key.lower() if fold else key


def without_tags(tags: Mapping[str, str], names: Iterable[str], fold: bool = False) -> dict[str, str]:
    gone = {_tag_name(n, fold) for n in names}
    return {k: v for k, v in tags.items() if _tag_name(k, fold) not in gone}


def shown_document(text: str) -> str:
    """Documents are shown URL-encoded (RFC 3986)."""
    return quote(text, safe="-_.~")


def checked_document(text: str, kind: str = "identity") -> Policy:
    """Raises MalformedPolicyDocument."""
    try:
        return parse(text, kind)
    except PolicyError as error:
        raise ApiError("MalformedPolicyDocument", str(error)) from None


def size(text: str) -> int:
    """Characters without white space, which IAM does not count."""
    return len("".join(text.split()))


def page(call: Call, request: Request, items: Sequence[I], key: Callable[[I], str]) -> tuple[list[I], dict[str, Any]]:
    """One page of ``items``, which are in the order of ``key``; and IsTruncated with Marker. Raises ValidationError."""
    shown, marker = _PAGING.page(call, request, items, key, PAGE)
    return shown, {"IsTruncated": False} if marker is None else {"IsTruncated": True, "Marker": marker}


def by_path(found: Iterable[Resource[Any, Any]], request: Request) -> list[Resource[Any, Any]]:
    prefix = request.get("PathPrefix", "/")
    return sorted((r for r in found if r.spec.path.startswith(prefix)), key=lambda r: r.meta.name)


def quota_left(tx: Transaction, kind: Kind[Any, Any], account: str, name: str, limit: int) -> None:
    """Raises LimitExceeded when the account has its fill."""
    if len(tx.list(kind, account, "")) >= limit:
        raise over_quota(name, limit)
