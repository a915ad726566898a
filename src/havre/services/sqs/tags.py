"""Tags of queues: checked, merged."""

from __future__ import annotations

from collections.abc import Mapping

from havre.control.operation import Call
from havre.services.sqs.errors import invalid

MOST = 50


def checked(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """Both together. Raises ApiError."""
    for key, value in new.items():
        if not 1 <= len(key) <= 128:
            raise invalid("Tag keys must be between 1 and 128 characters in length.")
        if key.lower().startswith("aws:"):
            raise invalid("Tag keys must not begin with the reserved prefix aws:.")
        if len(value) > 256:
            raise invalid("Tag values must not be longer than 256 characters.")
    together = {**old, **new}
    if len(together) > MOST:
        raise invalid(f"Too many tags added for queue. The maximum is {MOST}.")
    return together


async def may_tag(call: Call, arn: str) -> None:
    """Whoever makes a queue with tags needs sqs:TagQueue as well."""
    await call.authorize("sqs:TagQueue", [arn], {})
