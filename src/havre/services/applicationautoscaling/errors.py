"""Application Auto Scaling's errors, in its words."""

from __future__ import annotations

from havre.kernel.errors import ApiError, not_built


def invalid(message: str) -> ApiError:
    return ApiError("ValidationException", message)


def not_found(what: str, namespace: str, resource: str, dimension: str) -> ApiError:
    return ApiError(
        "ObjectNotFoundException",
        f"No {what} found for service namespace: {namespace}, resource ID: {resource}, scalable dimension: {dimension}",
    )


def absent(what: str) -> ApiError:
    return not_built("application-autoscaling", what)
