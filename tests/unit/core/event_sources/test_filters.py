from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from havre.core.event_pattern import PatternError
from havre.core.event_sources.filters import Filters


def sqs(body: str) -> dict[str, Any]:
    return {"messageId": "1", "body": body, "eventSource": "aws:sqs"}


def kinesis(data: bytes) -> dict[str, Any]:
    return {"eventSource": "aws:kinesis", "kinesis": {"partitionKey": "7", "data": base64.b64encode(data).decode()}}


@pytest.mark.parametrize(
    ("pattern", "event", "passes"),
    [
        ({"body": {"kind": ["order"]}}, sqs('{"kind": "order"}'), True),
        ({"body": {"kind": ["order"]}}, sqs('{"kind": "refund"}'), False),
        ({"body": {"kind": ["order"]}}, sqs("order"), False),
        ({"body": ["order"]}, sqs("order"), True),
        ({"body": ["7"]}, sqs("7"), True),
        ({"body": ["order"]}, sqs('{"kind": "order"}'), False),
        ({"messageId": ["1"]}, sqs("anything"), True),
        ({"data": {"price": [{"numeric": [">", 10]}]}}, kinesis(b'{"price": 11}'), True),
        ({"data": {"price": [{"numeric": [">", 10]}]}}, kinesis(b'{"price": 9}'), False),
        ({"data": {"price": [1]}}, kinesis(b"\xff\xfe"), False),
        ({"partitionKey": ["7"]}, kinesis(b"x"), True),
        ({"eventName": ["INSERT"]}, {"eventSource": "aws:dynamodb", "eventName": "INSERT", "dynamodb": {}}, True),
        ({"eventName": ["INSERT"]}, {"eventSource": "aws:dynamodb", "eventName": "REMOVE", "dynamodb": {}}, False),
    ],
)
def test_one_filter(pattern: Any, event: Any, passes: bool) -> None:
    assert Filters([json.dumps(pattern)]).admits(event) is passes


def test_one_of_several_is_enough_and_none_lets_all_through() -> None:
    both = Filters(['{"body": ["a"]}', '{"body": ["b"]}'])
    assert [both.admits(sqs(body)) for body in "abc"] == [True, True, False]
    assert Filters([]).admits(sqs("c"))
    with pytest.raises(PatternError):
        Filters(['{"body": "not an array"}'])
