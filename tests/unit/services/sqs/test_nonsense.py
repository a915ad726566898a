"""Whatever clients write into texts of theirs, the answer is a modelled error, or it is good."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from havre.kernel.errors import ApiError
from havre.services.sqs import attributes, queries, receipts
from havre.services.sqs.messages import draft
from havre.services.sqs.operations import moves
from havre.services.sqs.resources import QueueSpec

UID = "u" * 24
NAMES = sorted(attributes._KNOWN)


def _only_api_errors(call: Callable[..., Any], *arguments: Any) -> None:
    with suppress(ApiError):
        call(*arguments)


@given(st.text())
@example("http://[/000000000000/q")
@example("https://host/٠٠٠٠٠٠٠٠٠٠٠٠/q")
def test_addresses(text: str) -> None:
    _only_api_errors(queries.address, text)


@given(st.text() | st.binary().map(lambda raw: raw.hex()))
@example("{" * 100)
@example("e30=")
@example("W1tb" * 4000)
def test_handles(text: str) -> None:
    _only_api_errors(receipts.opened, UID, text)
    _only_api_errors(moves._opened, text)


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1))
def test_receipts_come_back_and_hold_for_their_queue_only(id: int, receipt: int) -> None:
    text = receipts.handle(UID, id, receipt)
    assert receipts.opened(UID, text) == (id, receipt)
    for uid, given_text in (("v" * 24, text), (UID, text[:-2]), (UID, text[4:])):
        with suppress(ApiError):
            receipts.opened(uid, given_text)
            raise AssertionError("a receipt of another queue, or half of one, was taken")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(NAMES), st.text() | JSON.map(lambda value: json.dumps(value)), st.booleans())
@example("RedrivePolicy", "[" * 5000, False)
@example("Policy", '{"a":' * 5000, False)
@example("Policy", '{"Version":"2012-10-17","Statement":[1]}', False)
@example("VisibilityTimeout", "²", False)
@example("RedrivePolicy", '{"deadLetterTargetArn":"arn:aws:sqs:r:000000000000:q","maxReceiveCount":"²"}', False)
def test_attributes(name: str, value: str, fifo: bool) -> None:
    _only_api_errors(lambda: attributes.changed(QueueSpec(UID, fifo), {name: value}, new=True))


VALUES = st.dictionaries(
    st.sampled_from(["DataType", "StringValue"]), st.sampled_from(["String", "Number", "Binary", "1", "", "\x00"])
)


@given(
    st.fixed_dictionaries(
        {"MessageBody": st.text()},
        optional={
            "DelaySeconds": st.integers(-1, 1000),
            "MessageGroupId": st.text(max_size=130),
            "MessageDeduplicationId": st.text(max_size=130),
            "MessageAttributes": st.dictionaries(st.text(max_size=5), VALUES, max_size=3),
            "MessageSystemAttributes": st.dictionaries(st.just("AWSTraceHeader"), VALUES, max_size=1),
        },
    ),
    st.booleans(),
)
def test_messages(entry: dict[str, Any], fifo: bool) -> None:
    _only_api_errors(draft, QueueSpec(UID, fifo), entry)
