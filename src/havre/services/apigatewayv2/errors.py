"""API Gateway's errors."""

from __future__ import annotations

from havre.kernel.errors import ApiError, not_built


def not_found(what: str) -> ApiError:
    return ApiError("NotFoundException", what)


def bad(why: str) -> ApiError:
    return ApiError("BadRequestException", why)


def conflict(why: str) -> ApiError:
    return ApiError("ConflictException", why)


def absent(what: str) -> ApiError:
    return not_built("apigatewayv2", what)
