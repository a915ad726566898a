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
        "SAMLAssertion", "TokenCode", "registryToken", "tokenValue", "GrantToken",
    )
)  # fmt: skip
_DROPPED = frozenset(("secretaccesskey",))
_WITH_ENVIRONMENT = frozenset(("ecs", "lambda"))
"""Services whose ``environment`` holds what people put secrets into."""
_BULKY = frozenset(("layerpartblob", "zipfile", "layerblob"))


_AS_IS, _DROP, _HIDE, _HIDE_ENVIRONMENT = range(4)
_names: dict[str, tuple[str, int]] = {}
"""Member name → how it is told, and what becomes of its value: names come again with every request."""
MOST_NAMES = 10_000


def hidden(source: str, name: str, values: Any) -> Any:
    """A copy with member names in lower camel case, secrets hidden and blobs left out."""
    if source == "ssm" and name == "PutParameter" and "Value" in values:
        values = {**values, "Value": HIDDEN}
    return _walk(values, source in _WITH_ENVIRONMENT)


def _told(key: str) -> tuple[str, int]:
    lowered = key.lower()
    told = key[:1].lower() + key[1:] if key[:1].isupper() and key[1:2].islower() else key
    what = _AS_IS
    if lowered in _DROPPED or lowered in _BULKY:
        what = _DROP
    elif lowered in _SECRETS:
        what = _HIDE
    elif lowered == "environment":
        what = _HIDE_ENVIRONMENT
    if len(_names) >= MOST_NAMES:
        _names.clear()
    _names[key] = told, what
    return told, what


def _walk(value: Any, environment: bool) -> Any:
    if isinstance(value, str) or value is None:
        return value
    if value.__class__ is dict or isinstance(value, Mapping):  # the second takes an order of magnitude longer
        out = {}
        for key, each in value.items():
            told, what = _names.get(key) or _told(key)
            if what == _AS_IS or (what == _HIDE_ENVIRONMENT and not (environment and each)):
                if each is not None:
                    out[told] = each if isinstance(each, str) else _walk(each, environment)
            elif what != _DROP and each is not None:
                out[told] = HIDDEN
        return out
    if isinstance(value, list | tuple):
        return [v if isinstance(v, str) else _walk(v, environment) for v in value]
    return value if isinstance(value, bool | int | float) else None
