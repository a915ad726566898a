"""Tags of topics: checked, merged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from havre.control.tags import shown as shown
from havre.kernel.errors import ApiError
from havre.services.sns.errors import invalid

MOST = 50


def given(tags: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Raises ApiError for keys that are reserved or come twice."""
    found: dict[str, str] = {}
    for tag in tags:
        key = tag["Key"]
        if key in found:
            raise invalid("Duplicated keys are not allowed.")
        if key.lower().startswith("aws:"):
            raise invalid("Tags Reason: Tag keys that begin with aws: are reserved")
        found[key] = tag.get("Value") or ""
    return merged({}, found)


def merged(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    result = {**old, **new}
    if len(result) > MOST:
        raise ApiError("TagLimitExceededException", "Could not complete request: tag quota of per resource exceeded")
    return result
