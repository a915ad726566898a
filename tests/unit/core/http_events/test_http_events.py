from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from havre.core.http_events import (
    Asked,
    BadAnswer,
    HttpAnswer,
    Place,
    answer_of,
    balancer_answer,
    balancer_event,
    event_1,
    event_2,
    fronted,
)

ASKED = Asked(
    "POST",
    "/a%20b/c",
    "p=1&p=2&q=%20x&empty=",
    (("accept", "a"), ("accept", "b"), ("cookie", "k=v; l=w"), ("user-agent", "curl"), ("content-type", "text/plain")),
    b"hello",
    "192.0.2.1",
    1583348638.39,
    "id.execute-api.us-east-1.localhost:4566",
)
TEXT = {"content-type": "text/plain; charset=utf-8"}
PLACE = Place("id", "111122223333", "r", "POST /{x}/c", "dev", {"x": "a b"}, {"v": "1"})


def test_format_2() -> None:
    assert event_2(ASKED, PLACE) == {
        "version": "2.0",
        "routeKey": "POST /{x}/c",
        "rawPath": "/a b/c",
        "rawQueryString": "p=1&p=2&q=%20x&empty=",
        "cookies": ["k=v", "l=w"],
        "headers": {"accept": "a,b", "user-agent": "curl", "content-type": "text/plain"},
        "queryStringParameters": {"p": "1,2", "q": " x", "empty": ""},
        "requestContext": {
            "accountId": "111122223333",
            "apiId": "id",
            "domainName": "id.execute-api.us-east-1.localhost:4566",
            "domainPrefix": "id",
            "http": {
                "method": "POST",
                "path": "/a b/c",
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "curl",
            },
            "requestId": "r",
            "routeKey": "POST /{x}/c",
            "stage": "dev",
            "time": "04/Mar/2020:19:03:58 +0000",
            "timeEpoch": 1583348638390,
        },
        "body": "hello",
        "pathParameters": {"x": "a b"},
        "isBase64Encoded": False,
        "stageVariables": {"v": "1"},
    }
    bare = event_2(Asked("GET", "/", "", (), b"", "192.0.2.1", 0), Place("id", "anonymous", "r"))
    assert not {"body", "cookies", "queryStringParameters", "pathParameters", "stageVariables"} & set(bare)


def test_format_1() -> None:
    event = event_1(ASKED, PLACE)
    assert (event["version"], event["resource"], event["path"]) == ("1.0", "/{x}/c", "/a b/c")
    assert event["headers"]["accept"] == "b" and event["multiValueHeaders"]["accept"] == ["a", "b"]
    assert event["multiValueQueryStringParameters"] == {"p": ["1", "2"], "q": [" x"], "empty": [""]}
    assert event["requestContext"]["identity"]["sourceIp"] == "192.0.2.1"
    assert event_1(Asked("GET", "/", "", (), b"", "", 0), Place("id", "a", "r"))["queryStringParameters"] is None


def test_a_load_balancers() -> None:
    event = balancer_event(ASKED, "arn:tg")
    assert event["requestContext"] == {"elb": {"targetGroupArn": "arn:tg"}} and event["path"] == "/a%20b/c"
    assert event["queryStringParameters"] == {"p": "2", "q": "%20x", "empty": ""} and event["headers"]["accept"] == "b"
    several = balancer_event(ASKED, "arn:tg", multiple=True)
    assert several["multiValueHeaders"]["accept"] == ["a", "b"] and "headers" not in several
    assert several["multiValueQueryStringParameters"]["p"] == ["1", "2"]


@given(st.binary(), st.sampled_from(["text/plain", "application/json", "image/png", "application/vnd.x+json", ""]))
def test_no_byte_of_a_body_is_lost(body: bytes, kind: str) -> None:
    event = event_2(Asked("POST", "/", "", (("content-type", kind),), body, "", 0), Place("i", "a", "r"))
    json.dumps(event)
    text = event.get("body", "")
    assert (base64.b64decode(text) if event["isBase64Encoded"] else text.encode()) == body


@pytest.mark.parametrize(
    ("payload", "status", "headers", "body"),
    [
        (b'{"hello": "you"}', 200, {"content-type": "application/json"}, b'{"hello": "you"}'),
        (b'"text"', 200, {"content-type": "application/json"}, b"text"),
        (b'"\\ud800"', 200, {"content-type": "application/json"}, b"?"),
        (b"null", 200, {"content-type": "application/json"}, b""),
        (b'{"statusCode": 201, "body": "x"}', 201, TEXT, b"x"),
        (b'{"statusCode": "404"}', 404, {}, b""),
        (b'{"statusCode": 200, "body": {"a": 1}}', 200, TEXT, b'{"a": 1}'),
        (
            b'{"statusCode": 200, "headers": {"Content-Type": "text/html", "X-N": 7},'
            b' "body": "aGk=", "isBase64Encoded": true}',
            200,
            {"content-type": "text/html", "x-n": "7"},
            b"hi",
        ),
    ],
)
def test_answers(payload: bytes, status: int, headers: dict[str, str], body: bytes) -> None:
    assert answer_of(payload) == HttpAnswer(status, tuple(headers.items()), body)


def test_cookies_and_several_values() -> None:
    payload = {"statusCode": 200, "cookies": ["a=1", "b=2"], "multiValueHeaders": {"X": ["1", "2"]}}
    assert answer_of(json.dumps(payload).encode()).headers == (
        ("x", "1"),
        ("x", "2"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
    )


@pytest.mark.parametrize(
    "payload",
    [
        b"{",
        b'{"statusCode": "many"}',
        b'{"statusCode": 100}',
        b'{"statusCode": 600}',
        b'{"statusCode": 200, "headers": {"a\\r\\nb": "c"}}',
        b'{"statusCode": 200, "headers": {"": "c"}}',
        b'{"statusCode": 200, "multiValueHeaders": {"a b": ["c"]}}',
        b'{"statusCode": 200, "cookies": ["a=b\\r\\nc: d"]}',
        b'{"statusCode": 200, "headers": []}',
        b'{"statusCode": 200, "headers": {"a": "b\\r\\nc: d"}}',
        b'{"statusCode": 200, "multiValueHeaders": {"a": "b"}}',
        b'{"statusCode": 200, "cookies": "a"}',
        b'{"statusCode": 200, "body": "%", "isBase64Encoded": true}',
    ],
)
def test_what_is_no_answer(payload: bytes) -> None:
    with pytest.raises(BadAnswer):
        answer_of(payload)


def test_a_load_balancer_wants_a_status() -> None:
    assert balancer_answer(b'{"statusCode": 204}', multiple=False).status == 204
    with pytest.raises(BadAnswer):
        balancer_answer(b'{"hello": "you"}', multiple=False)


def test_a_load_balancer_reads_the_headers_that_its_target_group_is_set_to() -> None:
    """Frameworks that give both members do not have their headers sent twice."""
    both = {"headers": {"X": "1"}, "multiValueHeaders": {"X": ["1", "2"]}, "cookies": ["a=1"]}
    payload = json.dumps({"statusCode": 200, **both}).encode()
    assert balancer_answer(payload, multiple=True).headers == (("x", "1"), ("x", "2"))
    assert balancer_answer(payload, multiple=False).headers == (("x", "1"),)
    alone = b'{"statusCode": 200, "headers": {"content-type": "text/html"}, "body": "x"}'
    assert balancer_answer(alone, multiple=True).headers == (("content-type", "application/octet-stream"),)


def test_a_pair_that_is_in_both_members_for_headers_is_sent_once() -> None:
    both = {"headers": {"x": "1", "y": "3"}, "multiValueHeaders": {"X": ["1", "2"], "y": ["4"]}}
    told = answer_of(json.dumps({"statusCode": 200, **both}).encode())
    assert sorted(told.headers) == [("x", "1"), ("x", "2"), ("y", "3"), ("y", "4")]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["statusCode", "headers", "body", "cookies", "isBase64Encoded", "a"]), inner)
    ),
    max_leaves=12,
)


@given(_JSON)
def test_any_answer_is_sent_on_or_refused(value: Any) -> None:
    try:
        answer = answer_of(json.dumps(value).encode())
    except BadAnswer:
        return
    assert 200 <= answer.status <= 599 and isinstance(answer.body, bytes)


@pytest.mark.parametrize(
    ("kind", "encoded"),
    [
        ("application/json; charset=utf-8", False),
        ("text/csv", False),
        ("application/x-www-form-urlencoded", True),
        ("multipart/form-data; boundary=x", True),
    ],
)
def test_which_bodies_are_text(kind: str, encoded: bool) -> None:
    asked = Asked("POST", "/", "", (("content-type", kind),), b"a=1", "192.0.2.1", 0)
    place = Place("id", "anonymous", "r")
    for event in (event_1(asked, place), event_2(asked, place), balancer_event(asked, "arn")):
        assert (event["isBase64Encoded"], event["body"]) == (encoded, "YT0x" if encoded else "a=1")


def test_what_a_front_adds() -> None:
    asked = fronted(ASKED, "Root=1-2-3")
    told = event_2(asked, PLACE)["headers"]
    assert {k: v for k, v in told.items() if k not in ("accept", "user-agent", "content-type")} == {
        "content-length": "5",
        "x-amzn-trace-id": "Root=1-2-3",
        "x-forwarded-for": "192.0.2.1",
        "x-forwarded-port": "4566",
        "x-forwarded-proto": "http",
    }
    secure = fronted(replace(ASKED, scheme="https", host="api.example.com"), "t")
    assert (secure.header("x-forwarded-proto"), secure.header("x-forwarded-port")) == ("https", "443")
    behind = fronted(replace(ASKED, headers=(("x-forwarded-for", "1.2.3.4"), ("x-forwarded-port", "1"))), "t")
    assert behind.header("x-forwarded-for") == "1.2.3.4, 192.0.2.1" and behind.header("x-forwarded-port") == "1"


def test_a_load_balancer_takes_a_body_without_a_type_for_bytes() -> None:
    told = balancer_answer(b'{"statusCode": 200, "body": "x"}', multiple=False)
    assert told.headers == (("content-type", "application/octet-stream"),)
