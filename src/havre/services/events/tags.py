"""Tags of rules and buses: checked, merged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from havre.control.tags import shown as shown
from havre.services.events.errors import limit, validation

MOST = 50


def given(tags: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Raises ApiError for keys that are reserved or come twice."""
    found: dict[str, str] = {}
    for tag in tags:
        key = tag["Key"]
        if key in found:
            raise validation(f"Duplicate tag key: {key}")
        if key.lower().startswith("aws:"):
            raise validation("Tag keys that begin with aws: are reserved")
        found[key] = tag["Value"]
    return merged({}, found)


def merged(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    result = {**old, **new}
    if len(result) > MOST:
        raise limit(f"The number of tags exceeds the limit of {MOST}.")
    return result
