"""Tags: as given, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from havre.control.operation import Call, Request
from havre.control.tags import shown as shown
from havre.kernel.errors import ApiError
from havre.services.elbv2.errors import validation

MOST = 50


def given(tags: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Raises DuplicateTagKeys, and ValidationError for reserved keys."""
    found: dict[str, str] = {}
    for tag in tags:
        key = tag["Key"]
        if key in found:
            raise ApiError("DuplicateTagKeys", f"The tag key '{key}' was specified more than once")
        if key.lower().startswith("aws:"):
            raise validation("aws: prefixed tag key names are not allowed for external use")
        found[key] = tag.get("Value") or ""
    return merged({}, found)


def merged(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    result = {**old, **new}
    if len(result) > MOST:
        raise ApiError(
            "TooManyTags", "You've reached the limit on the number of tags that you can assign to a resource"
        )
    return result


async def of_creation(call: Call, request: Request, arn: str) -> dict[str, str]:
    """The tags of what is being made; whoever tags needs elasticloadbalancing:AddTags too."""
    tags = given(request.get("Tags", ()))
    if tags:
        context: dict[str, str | Sequence[str]] = {f"aws:RequestTag/{key}": value for key, value in tags.items()}
        context |= {"elasticloadbalancing:CreateAction": call.operation, "aws:TagKeys": list(tags)}
        await call.authorize("elasticloadbalancing:AddTags", [arn], context)
    return tags
