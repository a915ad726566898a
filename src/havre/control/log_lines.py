"""Lines into CloudWatch Logs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from havre.control.operation import Aws
from havre.kernel.errors import ApiError


async def put_lines(aws: Aws, group: str, stream: str, events: Sequence[dict[str, Any]]) -> None:
    """``events`` as PutLogEvents takes them. The stream is made when it is not there, the group is not. Raises ApiError,
    Temporary."""
    where = {"logGroupName": group, "logStreamName": stream}
    try:
        await aws("logs", "PutLogEvents", {**where, "logEvents": events})
        return
    except ApiError as error:
        if error.code != "ResourceNotFoundException":
            raise
    try:
        await aws("logs", "CreateLogStream", where)
    except ApiError as taken:
        if taken.code != "ResourceAlreadyExistsException":
            raise
    await aws("logs", "PutLogEvents", {**where, "logEvents": events})
