"""What parameter mapping makes of requests and answers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.core import parameter_mapping as mapping
from havre.core.http_events import Asked, HttpAnswer
from havre.core.parameter_mapping import Known, fault, value

HEADERS = [("x-a", "1"), ("x-a", "2"), ("x-b", "b")]
BODY = b'{"name": "ann", "deep": {"list": [1, {"k": true}]}, "none": null}'
ASKED = Asked("POST", "/dev/pets/7", "q=1&q=2&r=", HEADERS, BODY, "192.0.2.1", 0.0)
KNOWN = Known(ASKED, "/pets/7", {"id": "7"}, {"v": "blue"}, {"requestId": "r", "identity.sourceIp": "192.0.2.1"})


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("plain", "plain"),
        ("$request.header.X-A", "1,2"),
        ("$request.header.none", None),
        ("$request.querystring.q", "1,2"),
        ("$request.querystring.r", ""),
        ("$request.path", "/pets/7"),
        ("$request.path.id", "7"),
        ("$request.path.none", None),
        ("$request.body", BODY.decode()),
        ("$request.body.name", "ann"),
        ("$request.body.deep.list[1].k", "true"),
        ("$request.body.deep.list[0]", "1"),
        ("$request.body.deep", '{"list": [1, {"k": true}]}'),
        ("$request.body.none", None),
        ("$request.body.nothing", None),
        ("$context.requestId", "r"),
        ("$context.identity.sourceIp", "192.0.2.1"),
        ("$stageVariables.v", "blue"),
        ("$response.header.x", None),
        ("a-${request.path.id}-${stageVariables.v}", "a-7-blue"),
        ("a-${request.path.none}", None),
        ("$5 and $unknown.x", "$5 and $unknown.x"),
    ],
)
def test_values(expression: str, expected: str | None) -> None:
    assert value(expression, KNOWN) == expected


def test_a_request_is_changed() -> None:
    given = {
        "append:header.x-a": "3",
        "overwrite:header.X-B": "$context.requestId",
        "remove:header.none": "''",
        "append:header.x-none": "$request.header.none",
        "overwrite:querystring.q": "$request.path.id",
        "append:querystring.s": "a b&c",
        "remove:querystring.r": "''",
        "overwrite:path": "/new/${request.path.id}?x",
    }
    assert fault(given) is None
    changed, path = mapping.request(given, ASKED, KNOWN)
    assert changed.headers == (("x-a", "1"), ("x-a", "2"), ("x-a", "3"), ("x-b", "r"))
    assert changed.query == "q=7&s=a+b%26c" and path == "/new/7%3Fx" and changed.body == BODY
    assert mapping.request({"remove:header.x-a": "''"}, ASKED, KNOWN)[0].query == ASKED.query, "as it was sent"


def test_an_answer_is_changed() -> None:
    answer = HttpAnswer(500, (("x-a", "1"),), b'{"why": "broken"}')
    given = {
        "overwrite:statuscode": "403",
        "append:header.x-why": "$response.body.why",
        "overwrite:header.x-a": "$response.header.x-a-${stageVariables.v}",
        "append:header.x-id": "$context.requestId",
    }
    assert fault(given, response=True) is None
    changed = mapping.response(given, answer, KNOWN)
    assert changed.status == 403 and dict(changed.headers)["x-why"] == "broken" and changed.body == answer.body
    for wrong in ("700", "two", "$context.none"):
        assert mapping.response({"overwrite:statuscode": wrong}, answer, KNOWN).status == 500


@pytest.mark.parametrize(
    ("given", "response"),
    [
        ({"replace:header.a": "1"}, False),
        ({"append:cookie.a": "1"}, False),
        ({"append:path": "1"}, False),
        ({"overwrite:statuscode": "200"}, False),
        ({"overwrite:path": "/"}, True),
        ({"append:querystring.a": "1"}, True),
        ({"append:header.Authorization": "1"}, False),
        ({"overwrite:header.x-amzn-thing": "1"}, False),
        ({"append:header.a": "$request.cookie.a"}, False),
        ({"append:header.a": "$request.body..a"}, False),
        ({"append:header.a": "$request.body[?(@.a)]"}, False),
        ({"append:header.a": "$response.header.a"}, False),
        ({"append:header.a": "${nothing.a}"}, False),
        ({"append:header.a": "$context."}, False),
    ],
)
def test_what_cannot_be_mapped(given: dict[str, str], response: bool) -> None:
    assert fault(given, response=response) is not None


@given(st.text(), st.dictionaries(st.sampled_from(["append:header.x", "overwrite:header.y"]), st.text()))
def test_nothing_ends_a_header(body: str, given: dict[str, Any]) -> None:
    asked = Asked("GET", "/", "", [("h", "v")], body.encode("utf-8", "replace"), "", 0.0)
    known = Known(asked, "/", {}, {"v": body}, {})
    told = {**given, "append:header.z": "$stageVariables.v", "append:header.w": "$request.body"}
    changed, _ = mapping.request(told, asked, known)
    assert not any(mark in v for _, v in changed.headers for mark in "\r\n\0")
