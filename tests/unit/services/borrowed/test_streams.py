"""Streams as pollers read them: shards that are split and merged, records that expire, iterators that end."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.lending import Lent


@pytest.fixture(scope="module")
def lent(tmp_path_factory: Any) -> Iterator[Lent]:
    found = Lent(tmp_path_factory.mktemp("borrowed"))
    yield found
    found.close()


def drain(kinesis: Any, stream: str, shard: str) -> tuple[list[bytes], bool]:
    """The data of a shard from its beginning; whether it has ended."""
    where = {"StreamName": stream, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
    iterator, found = kinesis.get_shard_iterator(**where)["ShardIterator"], []
    while iterator:
        page = kinesis.get_records(ShardIterator=iterator, Limit=2)
        found += [record["Data"] for record in page["Records"]]
        iterator = page.get("NextShardIterator")
        if not page["Records"]:
            break
    return found, not iterator


def test_a_shard_that_is_split_ends_and_its_children_go_on(lent: Lent) -> None:
    kinesis = lent.client("kinesis")
    kinesis.create_stream(StreamName="split", ShardCount=1)
    for number in range(5):
        kinesis.put_record(StreamName="split", Data=b"%d" % number, PartitionKey=str(number))
    kinesis.split_shard(StreamName="split", ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**127))
    placed = set()
    for number in range(5, 15):
        put = kinesis.put_record(StreamName="split", Data=b"%d" % number, PartitionKey=str(number))
        placed.add(put["ShardId"])
    assert placed == {"shardId-000000000001", "shardId-000000000002"}
    assert drain(kinesis, "split", "shardId-000000000000") == ([b"0", b"1", b"2", b"3", b"4"], True)
    one, two = drain(kinesis, "split", "shardId-000000000001"), drain(kinesis, "split", "shardId-000000000002")
    assert sorted(map(int, one[0] + two[0])) == list(range(5, 15)) and not one[1] and not two[1]
    kinesis.merge_shards(
        StreamName="split", ShardToMerge="shardId-000000000001", AdjacentShardToMerge="shardId-000000000002"
    )
    assert kinesis.put_record(StreamName="split", Data=b"15", PartitionKey="x")["ShardId"] == "shardId-000000000003"
    assert drain(kinesis, "split", "shardId-000000000001") == (one[0], True)
    assert drain(kinesis, "split", "shardId-000000000003") == ([b"15"], False)
    parents = {s["ShardId"]: s.get("ParentShardId") for s in kinesis.list_shards(StreamName="split")["Shards"]}
    assert parents["shardId-000000000001"] == "shardId-000000000000"


def test_the_last_hash_key_has_a_shard(lent: Lent) -> None:
    kinesis = lent.client("kinesis")
    kinesis.create_stream(StreamName="edges", ShardCount=2)
    for key, shard in ((0, 0), (2**127 - 1, 0), (2**127, 1), (2**128 - 1, 1)):
        put = kinesis.put_record(StreamName="edges", Data=b"x", PartitionKey="p", ExplicitHashKey=str(key))
        assert put["ShardId"].endswith(str(shard))


def test_tags_by_the_newer_operations(lent: Lent) -> None:
    kinesis = lent.client("kinesis")
    kinesis.create_stream(StreamName="tagged", ShardCount=1)
    arn = kinesis.describe_stream_summary(StreamName="tagged")["StreamDescriptionSummary"]["StreamARN"]
    kinesis.tag_resource(ResourceARN=arn, Tags={"a": "1", "b": "2"})
    kinesis.untag_resource(ResourceARN=arn, TagKeys=["a"])
    assert kinesis.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
    lent.kill()
    assert kinesis.list_tags_for_stream(StreamName="tagged")["Tags"] == [{"Key": "b", "Value": "2"}]


def test_latest_and_a_time(lent: Lent) -> None:
    kinesis = lent.client("kinesis")
    kinesis.create_stream(StreamName="times", ShardCount=1)
    kinesis.put_record(StreamName="times", Data=b"before", PartitionKey="p")
    where = {"StreamName": "times", "ShardId": "shardId-000000000000"}
    latest = kinesis.get_shard_iterator(**where, ShardIteratorType="LATEST")["ShardIterator"]
    assert kinesis.get_records(ShardIterator=latest)["Records"] == []
    kinesis.put_record(StreamName="times", Data=b"after", PartitionKey="p")
    (record,) = kinesis.get_records(ShardIterator=latest)["Records"]
    assert record["Data"] == b"after"
    at = {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": record["ApproximateArrivalTimestamp"]}
    (again,) = kinesis.get_records(ShardIterator=kinesis.get_shard_iterator(**where, **at)["ShardIterator"])["Records"]
    assert again["SequenceNumber"] == record["SequenceNumber"]


def _table(lent: Lent, name: str, ranged: bool = False) -> tuple[Any, str]:
    dynamodb = lent.client("dynamodb")
    keys = {"id": "HASH", **({"at": "RANGE"} if ranged else {})}
    made = dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys.items()],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    return dynamodb, made["TableDescription"]["LatestStreamArn"]


def _changes(lent: Lent, arn: str) -> list[Any]:
    streams = lent.client("dynamodbstreams")
    shard = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
    where = {"StreamArn": arn, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
    found: list[Any] = streams.get_records(ShardIterator=streams.get_shard_iterator(**where)["ShardIterator"])[
        "Records"
    ]
    return found


def test_a_record_for_each_item_that_changes(lent: Lent) -> None:
    dynamodb, arn = _table(lent, "changing")
    key, item = {"id": {"S": "a"}}, {"id": {"S": "a"}, "n": {"N": "1"}}
    add = {"UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": {"N": "1"}}}
    dynamodb.update_item(TableName="changing", Key=key, **add)  # there is none yet
    dynamodb.put_item(TableName="changing", Item=item)  # as it is
    dynamodb.update_item(TableName="changing", Key=key, **add)
    dynamodb.delete_item(TableName="changing", Key=key)
    dynamodb.delete_item(TableName="changing", Key=key)
    dynamodb.transact_write_items(TransactItems=[{"Update": {"TableName": "changing", "Key": key, **add}}])
    lent.kill()
    seen = _changes(lent, arn)
    assert [record["eventName"] for record in seen] == ["INSERT", "MODIFY", "REMOVE", "INSERT"]
    assert [record["dynamodb"].get("NewImage") for record in seen] == [item, {**item, "n": {"N": "2"}}, None, item]
    numbers = [int(record["dynamodb"]["SequenceNumber"]) for record in seen]
    assert numbers == list(range(numbers[0], numbers[0] + 4))
    assert {record["eventVersion"] for record in seen} == {"1.1"}
    assert all(record["dynamodb"]["ApproximateCreationDateTime"].microsecond == 0 for record in seen)


@pytest.mark.parametrize("ranged", [False, True])
def test_items_go_when_their_time_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ranged: bool) -> None:
    """DynamoDB itself deletes them, and a kill changes nothing of it."""
    monkeypatch.setenv("HAVRE_BORROWED_EXPIRES_EVERY", "0.05")
    lent = Lent(tmp_path / "borrowed")
    try:
        dynamodb, arn = _table(lent, "mortal", ranged)
        now = int(time.time())
        times = {"over": {"N": str(now - 5)}, "ahead": {"N": str(now + 500)}, "text": {"S": str(now - 5)}}
        times |= {"ancient": {"N": str(now - 6 * 365 * 86_400)}}
        ranges = {"at": {"S": "r"}} if ranged else {}
        for name, at in times.items():
            dynamodb.put_item(TableName="mortal", Item={"id": {"S": name}, **ranges, "ttl": at})
        dynamodb.put_item(TableName="mortal", Item={"id": {"S": "timeless"}, **ranges})
        dynamodb.update_time_to_live(
            TableName="mortal", TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"}
        )
        deadline = time.monotonic() + 60
        while dynamodb.scan(TableName="mortal")["Count"] == 5 and time.monotonic() < deadline:
            time.sleep(0.05)
        for _ in range(2):
            left = {item["id"]["S"] for item in dynamodb.scan(TableName="mortal")["Items"]}
            assert left == {"ahead", "text", "ancient", "timeless"}
            last = _changes(lent, arn)[-1]
            assert last["eventName"] == "REMOVE" and last["dynamodb"]["Keys"]["id"] == {"S": "over"}
            assert last["userIdentity"] == {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}
            lent.kill()
    finally:
        lent.close()


def test_an_answer_is_no_larger_than_awss(lent: Lent) -> None:
    """10 MiB of Kinesis's data, 1 MiB of DynamoDB's records; what is left comes next."""
    kinesis = lent.client("kinesis")
    kinesis.create_stream(StreamName="large", ShardCount=1)
    for number in range(12):
        kinesis.put_record(StreamName="large", Data=bytes([number]) * (1 << 20), PartitionKey="k")
    where = {"StreamName": "large", "ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"}
    first = kinesis.get_records(ShardIterator=kinesis.get_shard_iterator(**where)["ShardIterator"])
    rest = kinesis.get_records(ShardIterator=first["NextShardIterator"])
    assert [r["Data"][0] for r in (*first["Records"], *rest["Records"])] == list(range(12))
    assert len(first["Records"]) == 10
    dynamodb, arn = _table(lent, "large")
    for number in range(5):
        dynamodb.put_item(TableName="large", Item={"id": {"S": str(number)}, "data": {"S": "x" * 300_000}})
    streams = lent.client("dynamodbstreams")
    shard = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
    at = {"StreamArn": arn, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
    one = streams.get_records(ShardIterator=streams.get_shard_iterator(**at)["ShardIterator"])
    two = streams.get_records(ShardIterator=one["NextShardIterator"])
    seen = [r["dynamodb"]["Keys"]["id"]["S"] for r in (*one["Records"], *two["Records"])]
    assert seen == list("01234") and len(one["Records"]) == 3


ALONE = """
from hypothesis import given, settings, strategies as st
from havre.engines.moto import pinned, shards, streams
from types import SimpleNamespace as Is
from datetime import UTC, datetime, timedelta

@settings(max_examples=150, deadline=None)
@given(st.integers(0, 30), st.integers(0, 30), st.integers(-1, 40), st.one_of(st.none(), st.integers(1, 10)))
def reads(count, expired, after, limit):
    shard = shards.Shard(0, 0, 1)
    for number in range(count):
        assert shard.put_record("p", "", "") == str(number + 1)
        if number < expired:
            shard.records[number + 1].created_at -= 25 * 3600
    shard.expire()
    kept = [n for n in range(1, count + 1) if n > expired]
    assert list(shard.records) == kept and shard.get_max_sequence_number() == count
    records, last, _ = shard.get_records(str(after), limit)
    expected = [n for n in kept if n > after][: limit or 10_000]
    assert [r.sequence_number for r in records] == expected
    assert last == (expected[-1] if expected else after)
reads()

def record(hours):
    at = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=hours)
    return Is(record={"dynamodb": {"ApproximateCreationDateTime": at}})
shard = Is(items=[record(h) for h in (30, 25, 23, 1)], starting_sequence_number=100)
streams.trim(shard)
assert len(shard.items) == 2 and shard.starting_sequence_number == 102
print("held")
"""


def test_records_expire_and_numbers_stay() -> None:
    """In a process of its own: moto is not for this one."""
    done = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout.strip() == "held", done.stderr
