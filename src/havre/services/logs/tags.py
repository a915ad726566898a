"""Tags of log groups: checked, merged."""

from __future__ import annotations

from collections.abc import Mapping

from havre.control.operation import Call
from havre.kernel.errors import ApiError
from havre.services.logs.errors import invalid

MOST = 50


def merged(old: Mapping[str, str], new: Mapping[str, str], arn: str) -> dict[str, str]:
    """Raises ApiError for reserved keys and for too many."""
    for key in new:
        if key.lower().startswith("aws:"):
            raise invalid("Tag keys that begin with 'aws:' are reserved for AWS use.")
    result = {**old, **new}
    if len(result) > MOST:
        raise ApiError(
            "TooManyTagsException", f"The number of tags exceeds the limit of {MOST}.", None, {"resourceName": arn}
        )
    return result


async def may_tag(call: Call, arn: str) -> None:
    """Whoever makes a group with tags needs logs:TagResource or logs:TagLogGroup as well."""
    try:
        await call.authorize("logs:TagResource", [arn], {})
    except ApiError:
        await call.authorize("logs:TagLogGroup", [f"{arn}:log-stream:"], {})
