"""What the claims of a JSON Web Token must say for a request to be let in, and how functions get to see them. Pure.

Wording is that of AWS's HTTP APIs, as far as AWS tells any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

Claims = Mapping[str, Any]


class Wanted(msgspec.Struct, frozen=True):
    """``scopes``: one of them has to be there; none are needed where there are none."""

    issuer: str
    audience: Sequence[str]
    scopes: Sequence[str] = ()


def refusal(claims: Claims, wanted: Wanted, now: float) -> str | None:
    """Why these claims let nobody in; None when they do. ``now`` in seconds since the epoch; there is no leeway."""
    if claims.get("iss") != wanted.issuer:
        return "issuer does not match"
    if not _for_us(claims, wanted.audience):
        return "the token does not have a valid audience"
    expires, begins, issued = (claims.get(name) for name in ("exp", "nbf", "iat"))
    if expires is None or not _number(expires):
        return "the token does not have a valid expiration time"
    if expires <= now:
        return "the token has expired"
    if begins is not None and not (_number(begins) and begins <= now):
        return "the token is not valid yet"
    if issued is not None and not (_number(issued) and issued <= now):
        return "the token was issued in the future"
    return None


def _for_us(claims: Claims, audience: Sequence[str]) -> bool:
    """``client_id`` counts only where there is no ``aud``: access tokens of Cognito have none."""
    said = claims["aud"] if "aud" in claims else claims.get("client_id")
    named = said if isinstance(said, list) else [said]
    return any(each in audience for each in named if isinstance(each, str))


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def scopes(claims: Claims) -> list[str]:
    """What the token may be used for: ``scope`` is a text with spaces, ``scp`` that or a list."""
    said = claims.get("scope", claims.get("scp"))
    if isinstance(said, str):
        return said.split()
    return [each for each in said if isinstance(each, str)] if isinstance(said, list) else []


def as_texts(claims: Claims) -> dict[str, str]:
    """Claims as functions see them: texts all, lists as ``[one two]``."""
    return {name: _text(value) for name, value in claims.items()}


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{' '.join(_text(each) for each in value)}]"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return msgspec.json.encode(value).decode()
