"""Tags of alarms and dashboards: checked, merged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from havre.services.cloudwatch.errors import invalid

MOST = 50


def given(tags: Sequence[Mapping[str, Any]] | None) -> dict[str, str]:
    """Raises ApiError for keys that are reserved or come twice."""
    found: dict[str, str] = {}
    for tag in tags or ():
        key = tag["Key"]
        if key in found:
            raise invalid(f"Duplicate tag key: {key}")
        if key.lower().startswith("aws:"):
            raise invalid("Tag keys that begin with aws: are reserved")
        found[key] = tag["Value"]
    return merged({}, found)


def merged(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    result = {**old, **new}
    if len(result) > MOST:
        raise invalid(f"The number of tags exceeds the limit of {MOST}.")
    return result
