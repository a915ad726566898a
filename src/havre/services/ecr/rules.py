"""What ECR checks beyond the shapes of its model. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from havre.core.images.mutability import IMMUTABLE_EXCEPT, MUTABLE, MUTABLE_EXCEPT, SETTINGS, WILDCARD_LIMIT
from havre.kernel.errors import ApiError
from havre.services.ecr.errors import invalid

TAG_LIMIT = 50
KEY_LIMIT, VALUE_LIMIT = 128, 256


def mutability(request: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """(setting, exclusion filters) of a request. Raises ApiError."""
    setting = request.get("imageTagMutability", MUTABLE)
    if setting not in SETTINGS:
        shown = ", ".join(SETTINGS)
        raise invalid("imageTagMutability", f"Member must satisfy enum value set: [{shown}]")
    filters = request.get("imageTagMutabilityExclusionFilters", ())
    excluding = setting in (IMMUTABLE_EXCEPT, MUTABLE_EXCEPT)
    if excluding != bool(filters):
        what = "must be specified" if excluding else "can not be specified"
        raise invalid(
            "imageTagMutabilityExclusionFilters",
            f"ImageTagMutabilityExclusionFilters {what} when imageTagMutability is set to {setting}",
        )
    for each in filters:
        if each["filterType"] != "WILDCARD":
            raise invalid("filterType", "Member must satisfy enum value set: [WILDCARD]")
        if each["filter"].count("*") > WILDCARD_LIMIT:
            raise invalid("filter", f"A filter can have a maximum of {WILDCARD_LIMIT} wildcards")
    return setting, tuple(each["filter"] for each in filters)


def encryption(request: Mapping[str, Any]) -> None:
    """AES256 it is; keys of KMS are refused."""
    wanted = request.get("encryptionConfiguration")
    if wanted is None:
        return
    kind = wanted["encryptionType"]
    if kind not in ("AES256", "KMS", "KMS_DSSE"):
        raise invalid("encryptionType", "Member must satisfy enum value set: [AES256, KMS, KMS_DSSE]")
    if kind != "AES256":
        message = f"Havre does not implement encryption by {kind}; AES256 is what repositories have"
        raise ApiError("KmsException", message, None, {"kmsError": "NotImplemented"})
    if "kmsKey" in wanted:
        raise invalid("kmsKey", "KMS key can not be specified when encryption type is AES256")


def tags(items: Iterable[Mapping[str, str]], present: Mapping[str, str] | None = None) -> dict[str, str]:
    """The tags after these were added to those that are ``present``. Raises ApiError."""
    merged = dict(present or {})
    given: set[str] = set()
    for item in items:
        key, value = item["Key"], item.get("Value", "")
        if not 1 <= len(key) <= KEY_LIMIT or len(value) > VALUE_LIMIT or key.lower().startswith("aws:"):
            raise ApiError("InvalidTagParameterException", f"Invalid tag: key {key[:200]!r}, value {value[:300]!r}")
        if key in given:
            raise ApiError("InvalidTagParameterException", f"Duplicate tag key: {key}")
        given.add(key)
        merged[key] = value
    if len(merged) > TAG_LIMIT:
        raise ApiError("TooManyTagsException", f"A repository can have at most {TAG_LIMIT} tags")
    return merged


def one_of(value: str, allowed: Sequence[str], member: str) -> str:
    if value not in allowed:
        raise invalid(member, f"Member must satisfy enum value set: [{', '.join(allowed)}]")
    return value
