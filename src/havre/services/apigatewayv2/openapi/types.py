"""Types of members that a document gives: no model of AWS's has checked them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from havre.services.apigatewayv2.errors import bad

_NUMBERS = {"TimeoutInMillis": (50, 30_000), "AuthorizerResultTtlInSeconds": (0, 3600), "MaxAge": (-1, 86_400)}
_FLAGS = ("EnableSimpleResponses", "AllowCredentials", "DisableExecuteApiEndpoint")
_LISTS = (
    *("AllowOrigins", "AllowMethods", "AllowHeaders", "ExposeHeaders"),
    *("IdentitySource", "Audience", "AuthorizationScopes"),
)
_MAPS = ("RequestParameters",)
_STRUCTURES = ("CorsConfiguration", "JwtConfiguration", "TlsConfig")


def check(members: Mapping[str, Any]) -> None:
    """Raises ApiError."""
    for name, value in members.items():
        if not _fits(name, value):
            raise bad(f"Unable to parse API definition: the value of {name} is malformed")


def _fits(name: str, value: Any) -> bool:
    if name in _NUMBERS:
        least, most = _NUMBERS[name]
        return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
    if name in _FLAGS:
        return isinstance(value, bool)
    if name in _LISTS:
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    if name in _MAPS:
        return _texts(value)
    if name == "ResponseParameters":
        return isinstance(value, Mapping) and all(isinstance(n, str) and _texts(v) for n, v in value.items())
    if name in _STRUCTURES:
        return isinstance(value, Mapping) and all(_fits(n, v) for n, v in value.items())
    return isinstance(value, str) and len(value) <= 2048


def _texts(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(n, str) and isinstance(v, str) for n, v in value.items())
