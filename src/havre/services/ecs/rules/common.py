"""Names, ARNs, tags: what all of ECS's requests share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

import msgspec

from havre.kernel.errors import ApiError

NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
ROLE = re.compile(r"arn:aws:iam::\d{12}:role/\S+|[A-Za-z0-9+=,.@_-]{1,64}")
MAX_TAGS = 50


def invalid(message: str) -> ApiError:
    return ApiError("InvalidParameterException", message)


def client(message: str) -> ApiError:
    return ApiError("ClientException", message)


def one_of(value: str | None, allowed: Sequence[str], what: str) -> str | None:
    """An enumeration that AWS checks in the service, not in the model."""
    if value is not None and value not in allowed:
        raise invalid(f"Invalid {what}: {value}. Valid values are: {', '.join(allowed)}.")
    return value


def tags(given: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    """Checked and as a mapping. Raises InvalidParameterException."""
    found: dict[str, str] = {}
    for tag in given or ():
        key = tag.get("key", "")
        if not key or len(key) > 128:
            raise invalid("Tag keys must have between 1 and 128 characters.")
        if key.lower().startswith("aws:"):
            raise invalid("Tag keys must not start with aws:, which is reserved for AWS use.")
        if len(tag.get("value", "")) > 256:
            raise invalid("Tag values must have at most 256 characters.")
        if key in found:
            raise invalid("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
        found[key] = tag.get("value", "")
    if len(found) > MAX_TAGS:
        raise invalid(f"The number of tags exceeds the limit of {MAX_TAGS}.")
    return found


def tag_list(given: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": k, "value": v} for k, v in given.items()]


def digest(request: Mapping[str, Any]) -> str:
    """The same for the same request, whatever the order of its members."""
    return sha256(msgspec.json.encode(request, order="sorted")).hexdigest()


def last_part(reference: str) -> str:
    """The name at the end of an ARN, or the name itself."""
    return reference.rsplit("/", 1)[-1]


def cluster_name(reference: str | None) -> str:
    """The name out of a cluster's name or ARN; ``default`` where none is given."""
    if not reference:
        return "default"
    if reference.startswith("arn:"):
        if ":cluster/" not in reference:
            raise invalid(f"Invalid identifier: Identifier is for {kind_of(reference)}. Your identifier is {reference}")
        return last_part(reference)
    if not NAME.fullmatch(reference):
        raise invalid("Invalid identifier: cluster names have up to 255 letters, numbers, underscores and hyphens.")
    return reference


def kind_of(reference: str) -> str:
    return reference.split(":", 5)[-1].split("/", 1)[0]
