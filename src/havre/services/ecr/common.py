"""What a request is about, for IAM and for the operations; pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from havre.control.images import REPOSITORY, Place
from havre.control.operation import Call, Handler, Operations, Request
from havre.control.paging import Paging
from havre.kernel.arn import Arn
from havre.services.ecr.errors import invalid

T = TypeVar("T")
H = TypeVar("H", bound=Handler)
PAGE = 100
_PAGING = Paging(
    "maxResults",
    "nextToken",
    "InvalidParameterException",
    "Invalid parameter at 'nextToken' failed to satisfy constraint: 'Invalid pagination token'",
)


def place(call: Call, request: Request, name: str | None = None) -> Place:
    """The repository of the request, in the caller's registry or in the one that ``registryId`` names."""
    return Place(request.get("registryId", call.account), call.region, name or request.get("repositoryName", ""))


def repository_arns(call: Call, request: Request) -> Sequence[str]:
    """The repositories that IAM decides on; all of the registry when the request names none."""
    if "resourceArn" in request:
        return [request["resourceArn"]]
    names = request.get("repositoryNames") or [request.get("repositoryName", "*")]
    return [place(call, request, name).arn for name in names]


def conditions(call: Call, request: Request) -> Mapping[str, str | Sequence[str]]:
    """Tags of the repository, and tags that the request brings."""
    keys: dict[str, str | Sequence[str]] = {}
    name = request.get("repositoryName") or _name(request.get("resourceArn", ""))
    found = call.store.get(REPOSITORY, *place(call, request, name)) if name else None
    for key, value in (found.spec.tags if found else {}).items():
        keys[f"aws:ResourceTag/{key}"] = keys[f"ecr:ResourceTag/{key}"] = value
    for tag in request.get("tags", ()):
        keys[f"aws:RequestTag/{tag['Key']}"] = tag["Value"]
    if touched := [t["Key"] for t in request.get("tags", ())] or list(request.get("tagKeys", ())):
        keys["aws:TagKeys"] = touched
    return keys


def about(ops: Operations, name: str) -> Callable[[H], H]:
    """Declares an operation on a repository."""
    return ops(name, resources=repository_arns, conditions=conditions)


def _name(arn: str) -> str:
    try:
        return Arn.parse(arn).name if arn else ""
    except ValueError:
        return ""


def place_of_arn(call: Call, arn: str) -> Place:
    """Raises ApiError InvalidParameterException for what is not the ARN of a repository here."""
    try:
        parsed = Arn.parse(arn)
    except ValueError:
        parsed = None
    if parsed is None or parsed.service != "ecr" or parsed.kind != "repository" or parsed.region != call.region:
        raise invalid("resourceArn", f"Invalid ARN: {arn[:300]}")
    return Place(parsed.account, parsed.region, parsed.name)


def page(call: Call, request: Request, items: Sequence[T], key: Callable[[T], str]) -> tuple[list[T], str | None]:
    """This page of ``items``, which are in the order of ``key``, and the token of the next one."""
    return _PAGING.page(call, request, items, key, PAGE)
