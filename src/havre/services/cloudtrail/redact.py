"""What CloudTrail must not show: passwords, keys, tokens, secrets; and what it shows otherwise than the API does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"
_SECRETS = frozenset(
    name.lower()
    for name in (
        "AuthorizationToken", "ClientSecret", "MasterUserPassword", "NewPassword", "OldPassword", "Password",
        "PrivateKey", "SecretAccessKey", "SecretBinary", "SecretString", "SessionToken", "WebIdentityToken",
        "SAMLAssertion", "TokenCode", "registryToken", "tokenValue",
    )
)  # fmt: skip
_DROPPED = frozenset(("secretaccesskey",))
_ENVIRONMENT = {"ecs": frozenset(("environment",)), "lambda": frozenset(("environment",))}
_BULKY = frozenset(("layerpartblob", "zipfile", "layerblob"))


def hidden(source: str, name: str, values: Any) -> Any:
    """A copy with member names in lower camel case, secrets hidden and blobs left out."""
    return _walk(values, _ENVIRONMENT.get(source, frozenset()))


def _walk(value: Any, environment: frozenset[str]) -> Any:
    if isinstance(value, str) or value is None:
        return value
    if isinstance(value, Mapping):
        out = {}
        for key, each in value.items():
            lowered = key.lower()
            if each is None or lowered in _DROPPED or lowered in _BULKY:
                continue
            told = key[:1].lower() + key[1:] if key[:1].isupper() and key[1:2].islower() else key
            if lowered in _SECRETS or (lowered in environment and each):
                out[told] = HIDDEN
            else:
                out[told] = _walk(each, environment)
        return out
    if isinstance(value, list | tuple):
        return [_walk(v, environment) for v in value]
    if isinstance(value, bool | int | float):
        return value
    return None
