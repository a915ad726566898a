"""With ``--auth open`` pages of other sites send nothing: neither forms nor images nor scripts."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest
from tests.running_gateway import Running

from havre.gateway.pages import from_here

FORM = b"Action=CreateUser&UserName=u&Version=2010-05-08"


@pytest.mark.parametrize(
    ("origin", "here"),
    [
        ("", True),
        ("http://localhost:3000", True),
        ("http://127.0.0.1:4566", True),
        ("http://[::1]:3000", True),
        ("https://shop.elb.localhost", True),
        ("null", False),
        ("https://example.com", False),
        ("https://localhost.example.com", False),
        ("http://127.0.0.1.example.com:4566", False),
        ("http://localhost@example.com", False),
        ("http://[", False),
    ],
)
def test_which_pages_are_from_here(origin: str, here: bool) -> None:
    assert from_here(origin) is here


def sent(running: Running, headers: dict[str, str], form: bytes | None = FORM) -> int:
    query = "" if form else f"?{FORM.decode()}"
    request = urllib.request.Request(f"{running.url}/{query}", data=form, headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        assert b"AccessDenied" in error.read()
        return error.code


def users(running: Running) -> int:
    return len(running.client("iam", {"AccessKeyId": "test", "SecretAccessKey": "any"}).list_users()["Users"])


def test_with_open_doors_pages_of_others_change_nothing() -> None:
    running = Running(auth="open")
    try:
        assert sent(running, {"Origin": "https://example.com"}) == 403
        assert sent(running, {"Origin": "null"}) == 403
        assert sent(running, {"Sec-Fetch-Site": "cross-site"}, form=None) == 403
        assert users(running) == 0
        assert sent(running, {"Origin": "http://localhost:3000", "Sec-Fetch-Site": "cross-site"}) == 200
        assert users(running) == 1
    finally:
        running.close()


def test_what_somebody_types_into_a_browser_is_no_page_of_others() -> None:
    running = Running(auth="open")
    try:
        assert sent(running, {"Sec-Fetch-Site": "none"}, form=None) == 200
    finally:
        running.close()


def test_buckets_say_themselves_which_pages_may_ask() -> None:
    running = Running(auth="open")
    try:
        request = urllib.request.Request(f"{running.url}/bucket/key", headers={"Origin": "https://example.com"})
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request)
        assert b"other sites" not in refused.value.read()
    finally:
        running.close()
