"""S3 tells functions, queues, topics and EventBridge of what happens to objects, and a kill loses none of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import pytest
from tests.lending import Destination, Lent
from tests.running_gateway import ACCOUNT, code

QUEUE = f"arn:aws:sqs:us-east-1:{ACCOUNT}:events"
TOPIC = f"arn:aws:sns:us-east-1:{ACCOUNT}:events"
FUNCTION = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:on-event"
ANY = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]


class Scene:
    def __init__(self, folder: Path) -> None:
        self.to = Destination()
        taken = {"sqs": "SendMessage", "sns": "Publish", "lambda": "Invoke", "events": "PutEvents"}
        allow = json.dumps(
            {"Statement": [{"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "*"}]}
        )
        policies = {name: (lambda store, arn: allow) for name in ("sqs", "sns", "lambda")}
        from havre.services import s3

        self.lent = Lent(
            folder,
            [self.to.service(name, operation) for name, operation in taken.items()],
            resource_policies={**policies, "s3": s3.resource_policy},
        )
        self.s3 = self.lent.client("s3")
        self.bucket = "watched-0"

    def renew(self) -> None:
        self.to.got.clear()
        self.to.refuses = ""
        self.bucket = f"watched-{int(self.bucket.rpartition('-')[2]) + 1}"
        self.s3.create_bucket(Bucket=self.bucket)

    def configure(self, **configuration: Any) -> None:
        self.s3.put_bucket_notification_configuration(Bucket=self.bucket, NotificationConfiguration=configuration)

    def queue(self, events: list[str], *rules: dict[str, str]) -> None:
        filtered = {"Filter": {"Key": {"FilterRules": list(rules)}}} if rules else {}
        self.configure(QueueConfigurations=[{"Id": "q", "QueueArn": QUEUE, "Events": events, **filtered}])

    def messages(self, number: int) -> list[dict[str, Any]]:
        """The records that the queue got, once there are so many."""
        found: list[dict[str, Any]] = []
        until(lambda: len(self._records(found)) >= number)
        return found

    def _records(self, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        bodies = [json.loads(r["MessageBody"]) for name, r, _ in list(self.to.got) if name == "sqs"]
        found[:] = [record for body in bodies for record in body.get("Records", ())]
        return found


def until(condition: Callable[[], bool]) -> None:
    while not condition():  # the test's own time limit ends it
        time.sleep(0.01)


@pytest.fixture(scope="module")
def one(tmp_path_factory: Any) -> Iterator[Scene]:
    found = Scene(tmp_path_factory.mktemp("borrowed"))
    yield found
    found.lent.close()


@pytest.fixture
def scene(one: Scene) -> Scene:
    """With a bucket of its own, and nothing sent yet."""
    one.renew()
    return one


def test_the_trace_of_a_change_travels_on(scene: Scene) -> None:
    scene.configure(LambdaFunctionConfigurations=[{"LambdaFunctionArn": FUNCTION, "Events": ANY}])
    client, trace = scene.lent.client("s3"), "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0;Lineage=a87bd80c:3"
    headers = {"X-Amzn-Trace-Id": trace}
    client.meta.events.register_first("before-call.s3.PutObject", lambda params, **_: params["headers"].update(headers))
    client.put_object(Bucket=scene.bucket, Key="k", Body=b"x")
    until(lambda: trace in scene.to.traces)


def test_a_test_event_comes_first(scene: Scene) -> None:
    scene.queue(ANY)
    ((service, request, source),) = scene.to.got
    assert service == "sqs" and request["QueueUrl"].endswith(f"/{ACCOUNT}/events")
    body = json.loads(request["MessageBody"])
    assert (body["Event"], body["Bucket"], body["Service"]) == ("s3:TestEvent", scene.bucket, "Amazon S3")
    assert source == f"arn:aws:s3:::{scene.bucket}"


def test_the_record_is_awss(scene: Scene) -> None:
    scene.queue(ANY)
    etag = scene.s3.put_object(Bucket=scene.bucket, Key="dir/a key+ü.txt", Body=b"12345")["ETag"]
    (record,) = scene.messages(1)
    assert record["eventName"] == "ObjectCreated:Put" and record["eventVersion"] == "2.1"
    assert record["eventSource"] == "aws:s3" and record["awsRegion"] == "us-east-1"
    assert record["requestParameters"]["sourceIPAddress"] == "127.0.0.1"
    told = record["s3"]
    assert told["configurationId"] == "q" and told["bucket"]["arn"] == f"arn:aws:s3:::{scene.bucket}"
    assert told["bucket"]["ownerIdentity"] == {"principalId": ACCOUNT}
    assert told["object"]["key"] == "dir/a+key%2B%C3%BC.txt"
    assert unquote_plus(told["object"]["key"]) == "dir/a key+ü.txt"
    assert (told["object"]["size"], told["object"]["eTag"]) == (5, etag.strip('"'))
    assert int(told["object"]["sequencer"], 16) > 0


def test_events_of_versions_copies_and_parts(scene: Scene) -> None:
    scene.queue(ANY)
    scene.s3.put_object(Bucket=scene.bucket, Key="a", Body=b"1")
    scene.s3.copy_object(Bucket=scene.bucket, Key="b", CopySource=f"{scene.bucket}/a")
    upload = scene.s3.create_multipart_upload(Bucket=scene.bucket, Key="c")["UploadId"]
    part = scene.s3.upload_part(Bucket=scene.bucket, Key="c", UploadId=upload, PartNumber=1, Body=b"part")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    scene.s3.complete_multipart_upload(Bucket=scene.bucket, Key="c", UploadId=upload, MultipartUpload=parts)
    scene.s3.delete_object(Bucket=scene.bucket, Key="b")
    scene.s3.put_bucket_versioning(Bucket=scene.bucket, VersioningConfiguration={"Status": "Enabled"})
    version = scene.s3.put_object(Bucket=scene.bucket, Key="v", Body=b"1")["VersionId"]
    marker = scene.s3.delete_object(Bucket=scene.bucket, Key="v")["VersionId"]
    for each in (marker, version):
        scene.s3.delete_object(Bucket=scene.bucket, Key="v", VersionId=each)
    told = {(r["eventName"], r["s3"]["object"]["key"], r["s3"]["object"].get("versionId")) for r in scene.messages(8)}
    assert told == {
        ("ObjectCreated:Put", "a", None),
        ("ObjectCreated:Copy", "b", None),
        ("ObjectCreated:CompleteMultipartUpload", "c", None),
        ("ObjectRemoved:Delete", "b", None),
        ("ObjectCreated:Put", "v", version),
        ("ObjectRemoved:DeleteMarkerCreated", "v", marker),
        ("ObjectRemoved:Delete", "v", marker),
        ("ObjectRemoved:Delete", "v", version),
    }


def test_of_tags_and_acls_neither_size_nor_order_is_told(scene: Scene) -> None:
    etag = scene.s3.put_object(Bucket=scene.bucket, Key="k", Body=b"1")["ETag"].strip('"')
    scene.queue(["s3:ObjectTagging:*", "s3:ObjectAcl:Put"])
    scene.s3.put_object_tagging(Bucket=scene.bucket, Key="k", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    scene.s3.delete_object_tagging(Bucket=scene.bucket, Key="k")
    scene.s3.put_object_acl(Bucket=scene.bucket, Key="k", ACL="private")
    told = scene.messages(3)
    assert {r["eventName"] for r in told} == {"ObjectTagging:Put", "ObjectTagging:Delete", "ObjectAcl:Put"}
    assert all(r["eventVersion"] == "2.3" and r["s3"]["object"] == {"key": "k", "eTag": etag} for r in told)


def test_a_configuration_is_shown_as_it_was_made(scene: Scene) -> None:
    rules = [{"Name": "PREFIX", "Value": "in/"}, {"Name": "suffix", "Value": ""}]
    queue = {"Id": "q", "QueueArn": QUEUE, "Events": ["s3:ObjectCreated:*"]}
    scene.configure(
        QueueConfigurations=[{**queue, "Filter": {"Key": {"FilterRules": rules}}}], EventBridgeConfiguration={}
    )
    shown = scene.s3.get_bucket_notification_configuration(Bucket=scene.bucket)
    shown.pop("ResponseMetadata")
    kept = {"Key": {"FilterRules": [{"Name": "Prefix", "Value": "in/"}]}}
    assert shown == {"QueueConfigurations": [{**queue, "Filter": kept}], "EventBridgeConfiguration": {}}
    for key in ("out/a", "in/a"):
        scene.s3.put_object(Bucket=scene.bucket, Key=key, Body=b"1")
    assert scene.messages(1)[0]["s3"]["object"]["key"] == "in/a"
    scene.configure()
    assert "EventBridgeConfiguration" not in scene.s3.get_bucket_notification_configuration(Bucket=scene.bucket)


@pytest.mark.parametrize(
    ("names", "ids", "said"),
    [
        (["middle"], "ab", "filter rule name must be either prefix or suffix"),
        (["prefix", "Prefix"], "ab", "Cannot specify more than one prefix rule in a filter."),
        (["prefix"], "aa", "Same ID used for multiple configurations. IDs must be unique."),
    ],
)
def test_rules_that_are_none(scene: Scene, names: list[str], ids: str, said: str) -> None:
    rules = {"Key": {"FilterRules": [{"Name": name, "Value": "x"} for name in names]}}
    configurations = [
        {"Id": id, "QueueArn": QUEUE, "Events": [event], "Filter": rules} for id, event in zip(ids, ANY, strict=True)
    ]
    with pytest.raises(scene.s3.exceptions.ClientError, match=said):
        scene.configure(QueueConfigurations=configurations)
    assert "QueueConfigurations" not in scene.s3.get_bucket_notification_configuration(Bucket=scene.bucket)


def test_prefix_and_suffix(scene: Scene) -> None:
    scene.queue(["s3:ObjectCreated:Put"], {"Name": "prefix", "Value": "in/"}, {"Name": "suffix", "Value": ".jpg"})
    for key in ("in/a.png", "out/a.jpg", "in/a.jpg"):
        scene.s3.put_object(Bucket=scene.bucket, Key=key, Body=b"1")
    scene.s3.delete_object(Bucket=scene.bucket, Key="in/a.jpg")
    scene.s3.put_object(Bucket=scene.bucket, Key="in/last.jpg", Body=b"1")
    assert [r["s3"]["object"]["key"] for r in sorted(scene.messages(2), key=str)] == ["in/a.jpg", "in/last.jpg"]


def below(prefix: str) -> dict[str, Any]:
    return {"Key": {"FilterRules": [{"Name": "prefix", "Value": prefix}]}}


def test_every_kind_of_destination(scene: Scene) -> None:
    scene.configure(
        QueueConfigurations=[{"QueueArn": QUEUE, "Events": ANY, "Filter": below("q")}],
        TopicConfigurations=[{"TopicArn": TOPIC, "Events": ANY, "Filter": below("t")}],
        LambdaFunctionConfigurations=[{"LambdaFunctionArn": FUNCTION, "Events": ANY, "Filter": below("f")}],
        EventBridgeConfiguration={},
    )
    dry = [request for name, request, _ in scene.to.got if name == "lambda"]
    assert [request["InvocationType"] for request in dry] == ["DryRun"]
    scene.to.got.clear()
    for key in ("q", "t", "f"):
        scene.s3.put_object(Bucket=scene.bucket, Key=key, Body=b"1")
    until(lambda: len(scene.to.got) >= 6)
    got = {name: request for name, request, _ in scene.to.got if name != "events"}
    assert got["lambda"]["InvocationType"] == "Event" and got["lambda"]["FunctionName"] == FUNCTION
    assert json.loads(got["lambda"]["Payload"])["Records"][0]["s3"]["object"]["key"] == "f"
    assert json.loads(got["sns"]["Message"])["Records"][0]["eventName"] == "ObjectCreated:Put"
    assert json.loads(got["sqs"]["MessageBody"])["Records"][0]["s3"]["object"]["key"] == "q"
    entries = [request["Entries"][0] for name, request, _ in scene.to.got if name == "events"]
    assert {(entry["Source"], entry["DetailType"]) for entry in entries} == {("aws.s3", "Object Created")}
    details = [json.loads(entry["Detail"]) for entry in entries]
    assert {(d["object"]["key"], d["reason"]) for d in details} == {(key, "PutObject") for key in "qtf"}


@pytest.mark.parametrize(
    ("rule", "other", "fits"),
    [
        ({"Events": ANY}, {"Events": ["s3:ObjectCreated:Put"]}, False),
        ({"Events": ["s3:ObjectCreated:Copy"]}, {"Events": ["s3:ObjectCreated:Put"]}, True),
        ({"Events": ANY, "Filter": below("a/")}, {"Events": ANY, "Filter": below("a/b")}, False),
        ({"Events": ANY, "Filter": below("a/")}, {"Events": ANY, "Filter": below("b/")}, True),
        ({"Events": ANY}, {"Events": ["s3:ObjectTagging:*"]}, True),
    ],
)
def test_no_change_is_for_two_rules(scene: Scene, rule: Any, other: Any, fits: bool) -> None:
    both = {"QueueConfigurations": [{"QueueArn": QUEUE, **rule}], "TopicConfigurations": [{"TopicArn": TOPIC, **other}]}
    put = scene.s3.put_bucket_notification_configuration
    if fits:
        put(Bucket=scene.bucket, NotificationConfiguration=both)
    else:
        assert code(put, Bucket=scene.bucket, NotificationConfiguration=both) == "InvalidArgument"


def test_a_destination_that_refuses_is_refused(scene: Scene) -> None:
    scene.to.refuses = "AccessDenied"
    with pytest.raises(Exception, match="Unable to validate the following destination configurations"):
        scene.queue(ANY)
    assert scene.s3.get_bucket_notification_configuration(Bucket=scene.bucket).get("QueueConfigurations") is None
    wrong = {"QueueConfigurations": [{"QueueArn": TOPIC, "Events": ANY}]}
    put = scene.s3.put_bucket_notification_configuration
    assert code(put, Bucket=scene.bucket, NotificationConfiguration=wrong) == "InvalidArgument"
    fine = {"QueueConfigurations": [{"QueueArn": QUEUE, "Events": ANY}]}
    put(Bucket=scene.bucket, NotificationConfiguration=fine, SkipDestinationValidation=True)
    assert code(put, Bucket="nowhere", NotificationConfiguration=fine) == "NoSuchBucket"


def test_what_was_not_delivered_is_delivered_after_a_kill(scene: Scene) -> None:
    scene.queue(ANY)
    scene.to.refuses = "ServiceUnavailable"
    for number in range(5):
        scene.s3.put_object(Bucket=scene.bucket, Key=str(number), Body=b"1")
    scene.lent.kill()
    scene.to.refuses = ""
    scene.s3.head_bucket(Bucket=scene.bucket)  # whatever starts it again
    assert {r["s3"]["object"]["key"] for r in scene.messages(5)} == set("01234")
    folder: Path = scene.lent.beside._folder
    assert (folder / "notifies").exists()
    scene.lent.stop_beside()
    assert not (folder / "notifies").exists()  # all have arrived: no start of its own is due
