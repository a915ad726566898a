"""Tags: as given, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from havre.control.tags import shown as shown
from havre.services.efs.errors import bad

MOST = 50


def merged(old: Mapping[str, str], given: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Raises ApiError BadRequest."""
    new: dict[str, str] = {}
    for tag in given:
        if tag["Key"].lower().startswith("aws:"):
            raise bad(f"The tag key {tag['Key']} is reserved: it begins with aws:")
        if tag["Key"] in new:
            raise bad(f"The tag key {tag['Key']} was given more than once.")
        new[tag["Key"]] = tag["Value"]
    result = {**old, **new}
    if len(result) > MOST:
        raise bad(f"A resource can have at most {MOST} tags.")
    return result
