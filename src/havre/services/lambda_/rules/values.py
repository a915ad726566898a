"""Bounds and rules of a function's settings, beyond those that the model tells."""

from __future__ import annotations

import json
from collections.abc import Mapping

from havre.services.lambda_.errors import invalid, validation

ENVIRONMENT = 4096
TAGS = 50
RESERVED = frozenset((
    "_HANDLER", "_X_AMZN_TRACE_ID", "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_MAX_CONCURRENCY", "AWS_LAMBDA_RUNTIME_API", "AWS_REGION", "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY",
    "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT",
))  # fmt: skip


def check_environment(variables: Mapping[str, str]) -> None:
    """Raises ApiError for keys that Lambda sets itself, and for more than 4 KB together."""
    taken = [key for key in variables if key in RESERVED]
    if taken:
        raise invalid(
            "Lambda was unable to configure your environment variables because the environment variables you have provided "
            "contains reserved keys that are currently not supported for modification. Reserved keys used in this request: "
            + ", ".join(taken)
        )
    text = json.dumps(variables, separators=(",", ":"), ensure_ascii=False)
    if variables and len(text.encode()) > ENVIRONMENT:
        raise invalid(
            "Lambda was unable to configure your environment variables because the environment variables you have provided "
            f"exceeded the 4KB limit. String measured: {text}"
        )


def check_sizes(timeout: int, memory: int, temporary: int) -> None:
    """The model's own bounds are those of functions on capacity providers. Raises ApiError."""
    for value, most, member in (
        (timeout, 900, "timeout"),
        (memory, 10240, "memorySize"),
        (temporary, 10240, "ephemeralStorage.size"),
    ):
        if value > most:
            raise validation(value, member, f"Member must have value less than or equal to {most}")


def merged_tags(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """Raises ApiError for reserved keys and for too many."""
    for key in new:
        if key.lower().startswith("aws:"):
            raise invalid(f"The tag key {key} is reserved: it begins with aws:")
    together = {**old, **new}
    if len(together) > TAGS:
        raise invalid("Number of tags exceeds resource tag limit.")
    return together
