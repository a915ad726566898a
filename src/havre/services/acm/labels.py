"""Tags: as given, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from havre.control.operation import Call, Request
from havre.kernel.errors import ApiError

MOST = 50


def merged(old: Mapping[str, str], given: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Raises InvalidTagException, TooManyTagsException."""
    new: dict[str, str] = {}
    for tag in given:
        key = tag["Key"]
        if key.lower().startswith("aws:"):
            raise ApiError("InvalidTagException", f'Invalid Tag Key: "{key}". AWS internal tags cannot be changed.')
        if key in new:
            raise ApiError("InvalidTagException", f"The tag key {key} was given more than once.")
        new[key] = tag.get("Value") or ""
    result = {**old, **new}
    if len(result) > MOST:
        raise ApiError("TooManyTagsException", f"A certificate can have at most {MOST} tags.")
    return result


async def of_creation(call: Call, request: Request) -> dict[str, str]:
    """The tags of what is being made; whoever tags needs acm:AddTagsToCertificate too."""
    tags = merged({}, request.get("Tags") or ())
    if tags:
        context: dict[str, str | Sequence[str]] = {f"aws:RequestTag/{key}": value for key, value in tags.items()}
        await call.authorize(
            "acm:AddTagsToCertificate", [call.arn("certificate/*")], context | {"aws:TagKeys": list(tags)}
        )
    return tags
