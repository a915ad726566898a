"""Registered consumers of Kinesis are pushed their records, by boto3."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from botocore.exceptions import EventStreamError
from tests.lending import Lent
from tests.running_gateway import code

from havre.services.kinesis import fan_out


@pytest.fixture(scope="module")
def lent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lent]:
    found = Lent(tmp_path_factory.mktemp("borrowed"))
    yield found
    found.close()


def _stream(lent: Lent, name: str) -> tuple[Any, str, str]:
    """(client, stream's ARN, ARN of a consumer)."""
    kinesis = lent.client("kinesis")
    kinesis.create_stream(StreamName=name, ShardCount=1)
    arn = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamARN"]
    made = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="fast")["Consumer"]
    assert made["ConsumerStatus"] == "ACTIVE" and f"{arn}/consumer/fast:" in made["ConsumerARN"]
    return kinesis, arn, made["ConsumerARN"]


def _subscribe(kinesis: Any, consumer: str, **position: Any) -> Any:
    shard = "shardId-000000000000"
    return kinesis.subscribe_to_shard(ConsumerARN=consumer, ShardId=shard, StartingPosition=position)["EventStream"]


def _records(stream: Iterator[Any], count: int) -> list[bytes]:
    found: list[bytes] = []
    while len(found) < count:
        event = next(stream)["SubscribeToShardEvent"]
        assert event["ContinuationSequenceNumber"] and event["MillisBehindLatest"] >= 0
        found += [record["Data"] for record in event["Records"]]
    return found


def test_records_are_pushed_as_they_come(lent: Lent) -> None:
    kinesis, arn, consumer = _stream(lent, "pushed")
    kinesis.put_record(StreamARN=arn, Data=b"before", PartitionKey="k")
    with closing(_subscribe(kinesis, consumer, Type="TRIM_HORIZON")) as pushed:
        events = iter(pushed)
        assert _records(events, 1) == [b"before"]
        kinesis.put_records(StreamARN=arn, Records=[{"Data": b"%d" % n, "PartitionKey": "k"} for n in range(5)])
        assert _records(events, 5) == [b"%d" % n for n in range(5)]
        assert code(_subscribe, kinesis=kinesis, consumer=consumer, Type="LATEST") == "ResourceInUseException"
        lent.offset += fan_out.SETTLES
        with closing(_subscribe(kinesis, consumer, Type="AFTER_SEQUENCE_NUMBER", SequenceNumber="3")) as later:
            assert _records(iter(later), 3) == [b"2", b"3", b"4"]
            with pytest.raises(EventStreamError, match="ResourceInUseException"):
                list(events)


def test_a_shard_that_ends_names_its_children(lent: Lent) -> None:
    kinesis, arn, consumer = _stream(lent, "split")
    kinesis.put_record(StreamARN=arn, Data=b"last", PartitionKey="k")
    kinesis.split_shard(StreamARN=arn, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**127))
    events = [event["SubscribeToShardEvent"] for event in _subscribe(kinesis, consumer, Type="TRIM_HORIZON")]
    assert [record["Data"] for event in events for record in event["Records"]] == [b"last"]
    assert [child["ShardId"] for child in events[-1]["ChildShards"]] == ["shardId-000000000001", "shardId-000000000002"]
    assert "ContinuationSequenceNumber" not in events[-1]


def test_a_subscription_ends_after_five_minutes(lent: Lent) -> None:
    kinesis, _, consumer = _stream(lent, "quiet")
    pushed = _subscribe(kinesis, consumer, Type="LATEST")
    lent.offset += fan_out.LASTS
    assert all(not event["SubscribeToShardEvent"]["Records"] for event in pushed)
    assert code(_subscribe, kinesis=kinesis, consumer=consumer, Type="LATEST") == "no error", (
        "its place is free at once"
    )


def test_consumers_are_registered_once_and_go_one_by_one(lent: Lent) -> None:
    kinesis, arn, consumer = _stream(lent, "many")
    again = {"StreamARN": arn, "ConsumerName": "fast"}
    assert code(kinesis.register_stream_consumer, **again) == "ResourceInUseException"
    for n in range(19):
        kinesis.register_stream_consumer(StreamARN=arn, ConsumerName=f"c{n}")
    assert code(kinesis.register_stream_consumer, StreamARN=arn, ConsumerName="more") == "LimitExceededException"
    kinesis.deregister_stream_consumer(StreamARN=arn, ConsumerName="c0")
    kinesis.deregister_stream_consumer(ConsumerARN=consumer)
    names = [each["ConsumerName"] for each in kinesis.list_stream_consumers(StreamARN=arn)["Consumers"]]
    assert names == [f"c{n}" for n in range(1, 19)]
    assert code(_subscribe, kinesis=kinesis, consumer=consumer, Type="LATEST") == "ResourceNotFoundException"
    for call in (kinesis.deregister_stream_consumer, kinesis.describe_stream_consumer):
        assert code(call, ConsumerARN=consumer) == "ResourceNotFoundException"
    for call in (kinesis.register_stream_consumer, kinesis.describe_stream_consumer):
        named = {"StreamARN": f"{arn}-none", "ConsumerName": "fast"}
        assert code(call, **named) == "ResourceNotFoundException"
    assert code(kinesis.list_stream_consumers, StreamARN=f"{arn}-none") == "ResourceNotFoundException"


def test_policies_decide_on_the_consumer(lent: Lent) -> None:
    _, _, consumer = _stream(lent, "guarded")
    iam = lent.client("iam")
    iam.create_user(UserName="reader")
    statement = {"Effect": "Allow", "Action": "kinesis:SubscribeToShard", "Resource": consumer}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="reader", PolicyName="p", PolicyDocument=document)
    reader = lent.client("kinesis", iam.create_access_key(UserName="reader")["AccessKey"])
    assert code(_subscribe, kinesis=reader, consumer=consumer, Type="LATEST") == "no error"
    other = consumer.replace("/fast:", "/slow:")
    assert code(_subscribe, kinesis=reader, consumer=other, Type="LATEST") == "AccessDeniedException"
