"""What was acknowledged is there after the process has been killed, with the same ids, versions and sequence numbers."""

from __future__ import annotations

import functools
import hashlib
import itertools
import resource
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from tests.lending import Lent
from tests.running_gateway import OTHER_ROOT, ROOT, code

from havre.services.iam.root import RootKey


@pytest.fixture
def lent(tmp_path: Path) -> Iterator[Lent]:
    found = Lent(tmp_path / "borrowed")
    yield found
    found.close()


@functools.cache
def clients_of(lent: Lent, key: RootKey) -> dict[str, Any]:
    names = ("s3", "dynamodb", "dynamodbstreams", "kinesis", "ssm", "secretsmanager")
    return {name: lent.client(name, key) for name in names}


def seen(lent: Lent) -> dict[Any, Any]:
    """Everything that a client can see of what these tests make."""
    told: dict[Any, Any] = {}
    for key in (ROOT, OTHER_ROOT):
        told |= {(key.account, *where): what for where, what in _seen(clients_of(lent, key)).items()}
    return told


def _seen(clients: dict[str, Any]) -> dict[Any, Any]:
    return {**_objects(clients["s3"]), **_tables(clients), **_streams(clients["kinesis"]), **_named(clients)}


def _objects(s3: Any) -> dict[Any, Any]:
    told: dict[Any, Any] = {}
    for bucket in s3.list_buckets()["Buckets"]:
        name = bucket["Name"]
        listed = s3.list_object_versions(Bucket=name)
        told["bucket", name] = bucket["CreationDate"], listed.get("Versions"), listed.get("DeleteMarkers")
        told[name, "uploads"] = [
            (u["Key"], u["UploadId"]) for u in s3.list_multipart_uploads(Bucket=name).get("Uploads", ())
        ]
        for version in listed.get("Versions", ()):
            which = {} if version["VersionId"] == "null" else {"VersionId": version["VersionId"]}
            got = s3.get_object(Bucket=name, Key=version["Key"], **which)
            told[name, version["Key"], version["VersionId"]] = (
                hashlib.sha256(got["Body"].read()).hexdigest(),
                got["Metadata"],
            )
    return told


def _tables(clients: dict[str, Any]) -> dict[Any, Any]:
    dynamodb, streams = clients["dynamodb"], clients["dynamodbstreams"]
    told: dict[Any, Any] = {}
    for name in dynamodb.list_tables()["TableNames"]:
        table = dynamodb.describe_table(TableName=name)["Table"]
        told["table", name] = table
        told["items", name] = sorted(map(str, dynamodb.scan(TableName=name)["Items"]))
        if arn := table.get("LatestStreamArn"):
            (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
            where = {"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
            records = streams.get_records(ShardIterator=streams.get_shard_iterator(**where)["ShardIterator"])["Records"]
            told["stream", name] = records
    return told


def _streams(kinesis: Any) -> dict[Any, Any]:
    told: dict[Any, Any] = {}
    for name in kinesis.list_streams()["StreamNames"]:
        for shard in kinesis.list_shards(StreamName=name)["Shards"]:
            where = {"StreamName": name, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
            iterator = kinesis.get_shard_iterator(**where)["ShardIterator"]
            told["kinesis", name, shard["ShardId"]] = kinesis.get_records(ShardIterator=iterator)["Records"]
    return told


def _named(clients: dict[str, Any]) -> dict[Any, Any]:
    ssm, secrets = clients["ssm"], clients["secretsmanager"]
    told: dict[Any, Any] = {}
    for parameter in ssm.describe_parameters()["Parameters"]:
        told["parameter", parameter["Name"]] = ssm.get_parameter_history(Name=parameter["Name"])["Parameters"]
    for secret in secrets.list_secrets()["SecretList"]:
        value = secrets.get_secret_value(SecretId=secret["ARN"])
        told["secret", secret["ARN"]] = value["VersionId"], value["SecretString"], value["CreatedDate"], secret["Tags"]
    return told


def make(lent: Lent) -> None:
    """Something of everything, in two accounts."""
    s3 = lent.client("s3")
    for bucket in ("plain", "versions"):
        s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
    for body in (b"", b"small", b"large" * 100_000):
        s3.put_object(Bucket="plain", Key=f"of {len(body)}", Body=body, Metadata={"size": str(len(body))})
        s3.put_object(Bucket="versions", Key="key", Body=body)
    s3.put_object(Bucket="versions", Key="gone", Body=b"was here", Tagging="a=b")
    s3.delete_object(Bucket="versions", Key="gone")
    s3.copy_object(Bucket="plain", Key="copy", CopySource="plain/of 5")
    done = s3.create_multipart_upload(Bucket="plain", Key="parts")["UploadId"]
    parts = []
    for number in (1, 2):
        given = {"Bucket": "plain", "Key": "parts", "UploadId": done, "PartNumber": number}
        part = s3.upload_part(**given, Body=bytes([number]) * (5 << 20))
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    s3.complete_multipart_upload(Bucket="plain", Key="parts", UploadId=done, MultipartUpload={"Parts": parts})
    begun = s3.create_multipart_upload(Bucket="plain", Key="begun")["UploadId"]
    s3.upload_part(Bucket="plain", Key="begun", UploadId=begun, PartNumber=1, Body=b"part")
    s3.delete_object(Bucket="plain", Key="of 0")
    dynamodb = lent.client("dynamodb", OTHER_ROOT)
    dynamodb.create_table(
        TableName="streamed",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    for number in range(5):
        dynamodb.put_item(TableName="streamed", Item={"id": {"S": str(number)}, "binary": {"B": bytes([number])}})
    update = {"UpdateExpression": "SET n = :n", "ExpressionAttributeValues": {":n": {"N": "1"}}}
    dynamodb.update_item(TableName="streamed", Key={"id": {"S": "1"}}, **update)
    dynamodb.delete_item(TableName="streamed", Key={"id": {"S": "2"}})
    kinesis = lent.client("kinesis")
    kinesis.create_stream(StreamName="shards", ShardCount=2)
    for number in range(6):
        kinesis.put_record(StreamName="shards", Data=bytes([number]), PartitionKey=str(number))
    ssm = lent.client("ssm", OTHER_ROOT)
    for value in ("one", "two"):
        ssm.put_parameter(Name="/a/b", Value=value, Type="SecureString", Overwrite=True)
    secrets = lent.client("secretsmanager")
    secrets.create_secret(Name="login", SecretString="first", Tags=[{"Key": "k", "Value": "v"}])
    secrets.put_secret_value(SecretId="login", SecretString="second")


def test_after_a_kill_all_is_as_it_was(lent: Lent) -> None:
    make(lent)
    before = seen(lent)
    assert len(before) >= 18
    lent.kill()
    assert seen(lent) == before


def test_after_an_end_in_order_and_another_kill(lent: Lent) -> None:
    make(lent)
    before = seen(lent)
    lent.stop_beside()  # a snapshot
    assert list((Path(lent.beside._folder)).glob("*.snapshot"))
    assert seen(lent) == before
    lent.client("s3").put_object(Bucket="versions", Key="key", Body=b"newer")
    lent.client("ssm", OTHER_ROOT).put_parameter(Name="/a/b", Value="three", Type="SecureString", Overwrite=True)
    after = seen(lent)
    assert after != before
    lent.kill()  # snapshot and log
    assert seen(lent) == after
    lent.stop_beside()
    assert seen(lent) == after


def test_iterators_survive(lent: Lent) -> None:
    make(lent)
    streams = lent.client("dynamodbstreams", OTHER_ROOT)
    arn = streams.list_streams(TableName="streamed")["Streams"][0]["StreamArn"]
    (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    where = {"StreamArn": arn, "ShardId": shard["ShardId"]}
    iterator = streams.get_shard_iterator(**where, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    first = streams.get_records(ShardIterator=iterator, Limit=2)
    lent.kill()
    rest = streams.get_records(ShardIterator=first["NextShardIterator"])
    names = [r["eventName"] for r in (*first["Records"], *rest["Records"])]
    assert names == ["INSERT"] * 5 + ["MODIFY", "REMOVE"]
    after = first["Records"][-1]["dynamodb"]["SequenceNumber"]
    again = streams.get_shard_iterator(**where, ShardIteratorType="AFTER_SEQUENCE_NUMBER", SequenceNumber=after)
    assert streams.get_records(ShardIterator=again["ShardIterator"])["Records"] == rest["Records"]
    assert code(streams.get_records, ShardIterator="arn:aws:nonsense") == "ValidationException"
    bad = {**where, "ShardId": "shardId-00000000000000000000-0000000a"}
    assert code(streams.get_shard_iterator, **bad, ShardIteratorType="LATEST") == "ResourceNotFoundException"


class Writers:
    """Four clients that write until they are stopped, and note what was acknowledged to them."""

    def __init__(self, lent: Lent) -> None:
        self._lent = lent
        self._stop = threading.Event()
        self.versions: dict[tuple[str, str], bytes] = {}
        self.records: dict[str, bytes] = {}
        self._threads = [threading.Thread(target=self._write, args=(worker,), daemon=True) for worker in range(4)]
        for thread in self._threads:
            thread.start()

    def _write(self, worker: int) -> None:
        s3, kinesis = self._lent.client("s3"), self._lent.client("kinesis")
        for number in itertools.count():
            if self._stop.is_set():
                return
            key, body = f"w{worker}-{number % 7}", f"{worker} {number} ".encode() * 1000
            try:
                self.versions[key, s3.put_object(Bucket="busy", Key=key, Body=body)["VersionId"]] = body
                put = kinesis.put_record(StreamName="busy", Data=body[:64], PartitionKey="p")
                self.records[put["SequenceNumber"]] = body[:64]
            except (ClientError, BotoCoreError):
                continue  # not acknowledged

    def until(self, number: int) -> None:
        while len(self.versions) < number:
            time.sleep(0.005)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)


@pytest.mark.parametrize("snapshots", ["5000", "15"], ids=["log", "snapshots"])
def test_kills_in_the_middle_of_writes(lent: Lent, snapshots: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that was acknowledged is there, under the same names; also when snapshots are made all the time."""
    monkeypatch.setenv("HAVRE_BORROWED_SNAPSHOT_AFTER", snapshots)
    s3, kinesis = lent.client("s3"), lent.client("kinesis")
    s3.create_bucket(Bucket="busy")
    s3.put_bucket_versioning(Bucket="busy", VersioningConfiguration={"Status": "Enabled"})
    kinesis.create_stream(StreamName="busy", ShardCount=1)
    writers = Writers(lent)
    for number in (40, 80, 120):
        writers.until(number)
        lent.kill()
    writers.until(150)
    writers.stop()
    lent.kill()
    for (key, version), body in writers.versions.items():
        assert s3.get_object(Bucket="busy", Key=key, VersionId=version)["Body"].read() == body
    (found,) = _streams(kinesis).values()
    assert writers.records.items() <= {r["SequenceNumber"]: r["Data"] for r in found}.items()


def test_a_full_disk_refuses_and_loses_nothing(lent: Lent) -> None:
    s3 = lent.client("s3")
    s3.create_bucket(Bucket="full")
    assert lent.beside.pid is not None
    resource.prlimit(lent.beside.pid, resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    kept = [
        key
        for key in map(str, range(20))
        if code(s3.put_object, Bucket="full", Key=key, Body=b"x" * 8_000) == "no error"
    ]
    assert 0 < len(kept) < 20
    assert code(s3.put_object, Bucket="full", Key="refused", Body=b"x" * 100_000) == "ServiceUnavailable"
    assert [each["Key"] for each in s3.list_objects_v2(Bucket="full")["Contents"]] == sorted(kept)
    resource.prlimit(lent.beside.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    s3.put_object(Bucket="full", Key="room", Body=b"again")
    lent.kill()
    assert [each["Key"] for each in s3.list_objects_v2(Bucket="full")["Contents"]] == sorted([*kept, "room"])


def test_a_snapshot_is_made_while_it_runs(lent: Lent, monkeypatch: pytest.MonkeyPatch) -> None:
    """After many changes; the files that it covers go, but for those that objects lie in."""
    monkeypatch.setenv("HAVRE_BORROWED_SNAPSHOT_AFTER", "20")
    s3, ssm = lent.client("s3"), lent.client("ssm")
    s3.create_bucket(Bucket="snapped")
    s3.put_object(Bucket="snapped", Key="old", Body=b"old")
    folder = lent.beside._folder
    for number in itertools.count():
        ssm.put_parameter(Name="p", Value=str(number), Type="String", Overwrite=True)
        s3.put_object(Bucket="snapped", Key="new", Body=b"new" * number)
        if len(list(folder.glob("*.snapshot"))) and not (folder / "0000000002.log").exists() and number > 60:
            break
    last = ssm.get_parameter(Name="p")["Parameter"]
    lent.kill()
    assert ssm.get_parameter(Name="p")["Parameter"]["Version"] == last["Version"]
    assert s3.get_object(Bucket="snapped", Key="old")["Body"].read() == b"old"
    assert s3.get_object(Bucket="snapped", Key="new")["Body"].read() == b"new" * number


def test_a_table_keeps_its_id_and_the_next_one_of_its_name_has_another(tmp_path: Path) -> None:
    lent = Lent(tmp_path / "borrowed")

    def made() -> str:
        keys = {"KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}], "BillingMode": "PAY_PER_REQUEST"}
        types = [{"AttributeName": "p", "AttributeType": "S"}]
        told = lent.client("dynamodb").create_table(TableName="kept", AttributeDefinitions=types, **keys)
        return str(told["TableDescription"]["TableId"])

    first = made()
    assert lent.client("dynamodb").describe_table(TableName="kept")["Table"]["TableId"] == first
    lent.client("dynamodb").delete_table(TableName="kept")
    lent.offset += 10
    second = made()
    lent.close()
    lent = Lent(tmp_path / "borrowed")
    assert lent.client("dynamodb").describe_table(TableName="kept")["Table"]["TableId"] == second != first
    lent.close()
