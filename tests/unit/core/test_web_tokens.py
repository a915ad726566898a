"""Which claims let a bearer in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.core.web_tokens import Wanted, as_texts, refusal, scopes

NOW = 1_700_000_000.0
GOOD: dict[str, Any] = {"iss": "https://i", "aud": "web", "exp": NOW + 60, "nbf": NOW - 1, "iat": NOW - 1}
WANTED = Wanted("https://i", ["web", "app"])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({}, None),
        ({"aud": ["other", "app"]}, None),
        ({"nbf": None, "iat": None}, None),
        ({"iss": "https://i/"}, "issuer does not match"),
        ({"iss": None}, "issuer does not match"),
        ({"aud": "other"}, "the token does not have a valid audience"),
        ({"aud": ["other"], "client_id": "web"}, "the token does not have a valid audience"),
        ({"aud": 7}, "the token does not have a valid audience"),
        ({"exp": NOW}, "the token has expired"),
        ({"exp": "later"}, "the token does not have a valid expiration time"),
        ({"exp": True}, "the token does not have a valid expiration time"),
        ({"exp": None}, "the token does not have a valid expiration time"),
        ({"nbf": NOW + 1}, "the token is not valid yet"),
        ({"nbf": "now"}, "the token is not valid yet"),
        ({"iat": NOW + 1}, "the token was issued in the future"),
    ],
)
def test_claims(change: dict[str, Any], why: str | None) -> None:
    claims = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
    assert refusal(claims, WANTED, NOW) == why


def test_the_client_counts_where_there_is_no_audience() -> None:
    claims = {name: value for name, value in GOOD.items() if name != "aud"}
    assert refusal({**claims, "client_id": "app"}, WANTED, NOW) is None
    assert refusal({**claims, "client_id": "other"}, WANTED, NOW) == "the token does not have a valid audience"
    assert refusal(claims, WANTED, NOW) == "the token does not have a valid audience"


def test_scopes() -> None:
    assert scopes({"scope": "a b"}) == scopes({"scp": ["a", "b"]}) == scopes({"scp": "a b"}) == ["a", "b"]
    assert scopes({}) == scopes({"scope": 7}) == [] and scopes({"scp": ["a", 1]}) == ["a"]


def test_functions_see_texts() -> None:
    claims = {"exp": 1_700_000_000, "f": 1.0, "h": 1.5, "ok": True, "groups": ["a", "b"], "o": {"k": 1}, "n": None}
    assert as_texts(claims) == {
        "exp": "1700000000",
        "f": "1",
        "h": "1.5",
        "ok": "true",
        "groups": "[a b]",
        "o": '{"k":1}',
        "n": "null",
    }


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*GOOD, "client_id", "scope", "scp"]), ANY))
def test_whatever_is_claimed_is_judged(claims: dict[str, Any]) -> None:
    """Nothing that a token claims breaks the decision, and only one for us, in time, is let in."""
    why = refusal(claims, WANTED, NOW)
    assert all(isinstance(text, str) for text in as_texts(claims).values()) and isinstance(scopes(claims), list)
    if why is None:
        assert claims["iss"] == WANTED.issuer and claims["exp"] > NOW
