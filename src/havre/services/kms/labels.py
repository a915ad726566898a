"""Tags: as given, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from havre.kernel.errors import ApiError

MOST = 50


def merged(old: Mapping[str, str], given: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Raises TagException, LimitExceededException."""
    new: dict[str, str] = {}
    for tag in given:
        name = tag["TagKey"]
        if name.lower().startswith("aws:"):
            raise ApiError("TagException", f"Tag key {name} is reserved: it begins with aws:")
        if name in new:
            raise ApiError("TagException", f"Duplicate tag key: {name}")
        new[name] = tag["TagValue"]
    result = {**old, **new}
    if len(result) > MOST:
        raise ApiError("LimitExceededException", f"A key can have at most {MOST} tags.")
    return result


def asked(given: Sequence[Mapping[str, Any]]) -> Mapping[str, str | Sequence[str]]:
    """As condition keys: KMS spells tags in its own way."""
    if not given:
        return {}
    pairs: dict[str, str | Sequence[str]] = {f"aws:RequestTag/{tag['TagKey']}": tag["TagValue"] for tag in given}
    return {**pairs, "aws:TagKeys": [tag["TagKey"] for tag in given]}


def shown(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"TagKey": name, "TagValue": value} for name, value in sorted(tags.items())]
