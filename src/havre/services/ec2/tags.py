"""Tags: as given with TagSpecifications, checked, and shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from havre.control.operation import Call, Request
from havre.control.tags import shown as shown
from havre.kernel.errors import ApiError
from havre.services.ec2.errors import invalid

MOST = 50


def given(request: Request, kind: str) -> dict[str, str]:
    """The tags for the new resource; ``kind`` is EC2's name of it (``security-group``).

    Raises InvalidParameterValue for tags of another kind, which AWS refuses too, and InvalidParameter for those of none.
    """
    tags: dict[str, str] = {}
    for each in request.get("TagSpecifications", ()):
        if not each.get("ResourceType"):
            raise ApiError("InvalidParameter", "Tag specification resource type must have a value")
        if each["ResourceType"] != kind:
            raise invalid(f"'{each['ResourceType']}' is not a valid taggable resource type for this operation.")
        tags.update(pairs(each.get("Tags", ()), already=len(tags)))
    return merged({}, tags)


async def allow(call: Call, tags: Mapping[str, str], resource: str) -> None:
    """Whoever tags what he creates needs ec2:CreateTags too."""
    if tags:
        context: dict[str, str | Sequence[str]] = {f"aws:RequestTag/{key}": value for key, value in tags.items()}
        context |= {"ec2:CreateAction": call.operation, "aws:TagKeys": list(tags)}
        await call.authorize("ec2:CreateTags", [call.arn(resource)], context)


def pairs(tags: Sequence[Mapping[str, Any]], already: int = 0) -> dict[str, str]:
    result: dict[str, str] = {}
    for tag in tags:
        key, value = tag.get("Key") or "", tag.get("Value") or ""
        if not key:
            raise invalid("Tag keys must not be empty")
        if len(key) > 127:
            raise invalid("Tag key exceeds the maximum length of 127 characters")
        if len(value) > 255:
            raise invalid("Tag value exceeds the maximum length of 255 characters")
        if key.lower().startswith("aws:"):
            raise invalid("Tag keys starting with 'aws:' are reserved for internal use")
        if key in result:
            raise invalid(f"Duplicate tag key '{key}' specified.")
        result[key] = value
    return result


def merged(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    result = {**old, **new}
    if len(result) > MOST:
        raise ApiError("TagLimitExceeded", "The maximum number of Tags for a resource has been reached.")
    return result
