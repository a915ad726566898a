"""JWT authorizers: is this token signed by its issuer, and does it let its bearer in?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from havre.core import web_tokens
from havre.core.http_events import Asked, Place
from havre.kernel.world import World
from havre.services.apigatewayv2.serving.identity import identity
from havre.services.apigatewayv2.serving.issuers import Issuers, Unreachable
from havre.services.apigatewayv2.serving.verdict import Verdict

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
REMEMBERED, LONGEST_REMEMBERED = 2_000, 4_096
"""Tokens, and characters of one."""
MISSING = Verdict(401, challenge="Bearer", error="token not provided")


class BadToken(Exception):
    """Why, in the words that its bearer gets to hear."""


class Tokens:
    def __init__(self, world: World, issuers: Issuers) -> None:
        self._world = world
        self._issuers = issuers
        self._signed: dict[str, _Signed] = {}

    async def ask(self, authorizer: Mapping[str, Any], scopes: Sequence[str], asked: Asked, place: Place) -> Verdict:
        """``scopes``: those of the route."""
        token = bearer(identity((authorizer.get("IdentitySource") or ("",))[0], asked, place))
        if not token:
            return MISSING
        settings = authorizer["JwtConfiguration"]
        wanted = web_tokens.Wanted(settings["Issuer"], settings.get("Audience") or (), scopes)
        try:
            claims = await self._verified(token, wanted.issuer)
        except (BadToken, Unreachable) as why:
            return _refused(401, "invalid_token", str(why), scopes)
        why_not = web_tokens.refusal(claims, wanted, self._world.now())
        if why_not is not None:
            return _refused(401, "invalid_token", why_not, scopes)
        has = web_tokens.scopes(claims)
        if scopes and not set(scopes) & set(has):
            return _refused(403, "insufficient_scope", "the token does not have any of the route's scopes", scopes)
        granted = [each for each in has if each in scopes] if scopes else None
        return Verdict(200, {"claims": web_tokens.as_texts(claims), "scopes": granted}, kind="jwt")

    async def _verified(self, token: str, issuer: str) -> Mapping[str, Any]:
        """The claims of a token that ``issuer`` has signed. Raises BadToken, Unreachable. Signatures cost a third of a
        millisecond: what was right is remembered for as long as the key is the same."""
        id, algorithm = _header(token)
        key = await self._issuers.key(issuer, id)
        if key is None:
            raise BadToken("kid does not match any of the issuer's keys")
        known = self._signed.get(token)
        if known is not None and known.key is key:
            return known.claims
        claims = _claims(token, key, algorithm)
        if len(token) <= LONGEST_REMEMBERED:
            if len(self._signed) >= REMEMBERED:
                self._signed.clear()
            self._signed[token] = _Signed(key, claims)
        return claims


class _Signed(NamedTuple):
    key: Mapping[str, Any]
    claims: Mapping[str, Any]


def bearer(value: str | None) -> str:
    """The token, alone or after ``Bearer``; "" when there is none."""
    text = (value or "").strip()
    scheme, _, rest = text.partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else text


def _header(token: str) -> tuple[str, str]:
    """(id of its key, algorithm), before anything is believed. Raises BadToken."""
    from jwt import PyJWTError, get_unverified_header

    if token.count(".") != 2:
        raise BadToken("token contains an invalid number of segments")
    try:
        header = get_unverified_header(token)
    except PyJWTError:
        raise BadToken("the token cannot be decoded") from None
    id, algorithm = header.get("kid"), header.get("alg")
    if algorithm not in ALGORITHMS:
        name = algorithm if isinstance(algorithm, str) and algorithm.isalnum() else "unknown"
        raise BadToken(f"signing method {name[:20]} is invalid")
    if not isinstance(id, str) or not id:
        raise BadToken("the token has no kid")
    return id, algorithm


def _claims(token: str, key: Mapping[str, Any], algorithm: str) -> Mapping[str, Any]:
    """Raises BadToken."""
    from jwt import PyJWK, PyJWS, PyJWTError

    if key.get("alg") not in (None, algorithm) or key.get("use") not in (None, "sig"):
        raise BadToken("the key is not for this algorithm")
    public = {name: value for name, value in key.items() if name in ("kty", "n", "e", "crv", "x", "y", "kid")}
    try:
        payload = PyJWS().decode(token, PyJWK(public, algorithm), [algorithm])
        claims: Any = json.loads(payload)
    except (PyJWTError, ValueError, TypeError, RecursionError):
        raise BadToken("signature is invalid") from None
    if not isinstance(claims, dict):
        raise BadToken("the token's claims are no object")
    return claims


def _refused(status: int, error: str, why: str, scopes: Sequence[str]) -> Verdict:
    words = f'Bearer scope="{" ".join(scopes)}" error="{error}" error_description="{why}"'
    return Verdict(status, challenge=words, error=f"{error}: {why}")
