"""Which origins are let in, and what browsers are told of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.core.cors import Cors, allowed, preflight, without
from havre.core.http_events import Asked


def asked(origin: str, method: str = "GET", wanted: str = "") -> Asked:
    headers = [(n, v) for n, v in (("origin", origin), ("access-control-request-method", wanted)) if v]
    return Asked(method, "/", "", headers, b"", "192.0.2.1", 0.0)


@pytest.mark.parametrize(
    ("pattern", "origin", "apis", "urls"),
    [
        ("*", "https://a.example", True, True),
        ("https://a.example", "https://a.example", True, True),
        ("https://a.example", "http://a.example", False, False),
        ("https://a.example", "https://a.example.evil", False, False),
        ("https://*", "https://any.example", True, True),
        ("https://*", "http://any.example", False, False),
        ("https://*.example", "https://a.example", False, True),
        ("https://*.example", "https://evilexample", False, False),
        ("https://*.example", "http://a.example", False, False),
    ],
)
def test_origins(pattern: str, origin: str, apis: bool, urls: bool) -> None:
    for subdomains, expected in ((False, apis), (True, urls)):
        headers = dict(allowed(asked(origin), Cors([pattern], subdomains=subdomains)))
        assert ("access-control-allow-origin" in headers) == expected


def test_what_is_told() -> None:
    cors = Cors(["https://a"], ["GET", "PUT"], ["x-a"], ["x-b"], 60, True)
    assert preflight(asked("https://a", "OPTIONS", "PUT"), cors) == (
        ("access-control-allow-origin", "https://a"),
        ("vary", "origin"),
        ("access-control-allow-credentials", "true"),
        ("access-control-expose-headers", "x-b"),
        ("access-control-allow-methods", "GET,PUT"),
        ("access-control-allow-headers", "x-a"),
        ("access-control-max-age", "60"),
    )
    assert preflight(asked("https://b", "OPTIONS", "PUT"), cors) == ()
    for other in (asked("https://a", "OPTIONS"), asked("", "OPTIONS", "PUT"), asked("https://a", "GET", "PUT")):
        assert preflight(other, cors) is None
    assert without((("access-control-allow-origin", "*"), ("x-b", "1"))) == (("x-b", "1"),)


@given(st.lists(st.sampled_from(["*", "https://a", "https://*"])), st.booleans())
def test_whoever_brings_credentials_is_named(origins: list[str], credentials: bool) -> None:
    """Browsers refuse a star together with credentials, and caches must not mix origins up."""
    headers = dict(allowed(asked("https://a"), Cors(origins, credentials=credentials)))
    if headers and (credentials or "*" not in origins):
        assert headers["access-control-allow-origin"] == "https://a" and headers["vary"] == "origin"
