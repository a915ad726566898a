"""The pages that an instance has about itself: by which method, and for whom."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from havre.apps.internal import Page


async def answer(query: Mapping[str, str]) -> tuple[int, Any]:
    return (503 if query.get("starting") else 200), {"asked": dict(query)}


def ask(page: Page, method: str = "GET", query: str = "", **headers: str) -> tuple[int, bytes, bytes]:
    """Status, body and the length that was said."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    given = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"method": method, "query_string": query.encode(), "headers": given}
    asyncio.run(page(scope, None, send))
    start, body = sent
    return start["status"], body["body"], dict(start["headers"])[b"content-length"]


@pytest.mark.parametrize(("query", "status"), [("", 200), ("starting=1", 503)])
def test_probes_may_ask_for_the_head_alone(query: str, status: int) -> None:
    page = Page(answer)
    whole = ask(page, "GET", query)
    assert whole[0] == status and json.loads(whole[1])["asked"] == dict([query.split("=")] if query else [])
    assert ask(page, "HEAD", query) == (status, b"", whole[2])


def test_other_methods_are_told_which_one_to_use() -> None:
    for page, method, wanted in ((Page(answer), "POST", "GET"), (Page(answer, method="POST"), "HEAD", "POST")):
        status, body, _ = ask(page, method)
        assert (status, json.loads(body)) == (405, {"message": f"use {wanted}"})


def test_the_token_is_asked_for() -> None:
    page = Page(answer, token="secret")
    assert ask(page)[0] == ask(page, authorization="Bearer other")[0] == ask(page, "HEAD")[0] == 403
    assert ask(page, authorization="Bearer secret")[0] == 200
