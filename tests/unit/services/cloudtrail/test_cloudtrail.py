"""What was called is found again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from tests.running_gateway import ACCOUNT, OTHER_ROOT, ROOT, Running, code

from havre.kernel.errors import Temporary
from havre.services.cloudtrail.present import event_id, named_resources, record
from havre.services.cloudtrail.redact import HIDDEN, hidden
from havre.services.cloudtrail.trail import RETENTION_MS, Draft, Event, Identity, Trail, decode, pack, stream
from havre.store.memory import MemoryJournal


@pytest.fixture
def running() -> Iterator[Running]:
    found = Running()
    yield found
    found.close()


def lookup(running: Running, **request: Any) -> list[Any]:
    running.wait(running.gateway.close())
    return list(running.client("cloudtrail").lookup_events(**request)["Events"])


def test_records(running: Running) -> None:
    ecs = running.client("ecs")
    ecs.create_cluster(clusterName="one", tags=[{"key": "a", "value": "b"}])
    ecs.describe_clusters(clusters=["one"])
    code(running.client("iam").get_user, UserName="nobody")
    code(running.client("ecs").describe_tasks, tasks=["x"])
    entries = lookup(running)
    assert [e["EventName"] for e in entries] == ["DescribeTasks", "GetUser", "DescribeClusters", "CreateCluster"]
    made, seen, failed = (json.loads(entries[i]["CloudTrailEvent"]) for i in (3, 2, 1))
    arn = f"arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/one"
    assert made["requestParameters"] == {"clusterName": "one", "tags": [{"key": "a", "value": "b"}]}
    assert made["responseElements"]["cluster"]["clusterArn"] == arn and made["readOnly"] is False
    assert made["resources"] == [{"accountId": ACCOUNT, "ARN": arn}]
    assert made["userIdentity"]["type"] == "Root" and made["sourceIPAddress"] == "127.0.0.1"
    assert made["eventSource"] == "ecs.amazonaws.com" and made["eventVersion"] == "1.11"
    assert seen["responseElements"] is None and seen["readOnly"] is True
    assert failed["errorCode"] == "NoSuchEntity" and failed["requestParameters"] == {"userName": "nobody"}
    assert entries[3]["Resources"][0] == {"ResourceType": "AWS::ECS::Cluster", "ResourceName": arn}
    assert entries[3]["Username"] == "root" and entries[3]["AccessKeyId"] == ROOT.access_key


@pytest.mark.parametrize(
    ("resource", "kind", "names"),
    [
        ("ecs:us-east-1:0:task-definition/web:1", "ECS::TaskDefinition", ["web:1"]),
        ("ecs:us-east-1:0:service/c/web", "ECS::Service", ["c/web", "web"]),
        ("logs:us-east-1:0:log-group:/a/b", "Logs::LogGroup", ["/a/b"]),
        ("iam::0:role/path/app", "IAM::Role", ["app"]),
        ("sqs:us-east-1:0:orders.fifo", "SQS::Queue", ["orders.fifo"]),
        ("sns:us-east-1:0:topic:6d0e", "SNS::Topic", ["topic"]),
        ("s3:::bucket/a/key", "S3::Bucket", ["bucket"]),
        ("events:us-east-1:0:rule/bus/r", "Events::Rule", ["bus/r"]),
        ("kms:us-east-1:0:key/1234", "KMS::Key", ["1234"]),
        ("none:us-east-1:0:thing/x", "", []),
    ],
)
def test_resources_are_named_as_they_are_called(resource: str, kind: str, names: list[str]) -> None:
    who = Identity("Root", "0", "arn", "0", "", "root")
    event = Event("id", 0.0, "any", "Any", "0", "us-east-1", who, False, resources=(f"arn:aws:{resource}",))
    assert named_resources(event) == [(f"AWS::{kind}", n) for n in ([f"arn:aws:{resource}", *names] if kind else [])]


def test_log_groups_are_named_without_the_stream_that_iam_decides_on() -> None:
    who = Identity("Root", "0", "arn", "0", "", "root")
    group = "arn:aws:logs:us-east-1:0:log-group:/a/b"
    made = Event("id", 0.0, "logs", "Any", "0", "us-east-1", who, False, resources=(f"{group}:log-stream:",))
    of_group = [("AWS::Logs::LogGroup", group), ("AWS::Logs::LogGroup", "/a/b")]
    assert named_resources(made) == of_group
    assert record(made)["resources"] == [{"accountId": "0", "ARN": group}]
    stream = f"{group}:log-stream:s"
    written = Event("id", 0.0, "logs", "Any", "0", "us-east-1", who, False, resources=(stream,))
    assert named_resources(written) == [("AWS::Logs::LogStream", stream), ("AWS::Logs::LogStream", "s"), *of_group]
    assert record(written)["resources"] == [{"accountId": "0", "ARN": stream}]


@pytest.mark.parametrize(
    ("key", "value", "names"),
    [
        ("EventName", "CreateCluster", ["CreateCluster", "CreateCluster"]),
        ("ReadOnly", "true", ["DescribeClusters"]),
        ("Username", "root", ["CreateUser", "DescribeClusters", "CreateCluster", "CreateCluster"]),
        ("ResourceName", "one", ["CreateCluster"]),
        ("ResourceType", "AWS::IAM::User", ["CreateUser"]),
        ("EventSource", "iam.amazonaws.com", ["CreateUser"]),
        ("AccessKeyId", ROOT.access_key, ["CreateUser", "DescribeClusters", "CreateCluster", "CreateCluster"]),
        ("AccessKeyId", "AKIANOBODY", []),
    ],
)
def test_attributes(shared: Running, key: str, value: str, names: list[str]) -> None:
    found = lookup(shared, LookupAttributes=[{"AttributeKey": key, "AttributeValue": value}])
    assert [e["EventName"] for e in found if e["EventName"] != "LookupEvents"] == names
    for entry in found:
        same = lookup(shared, LookupAttributes=[{"AttributeKey": "EventId", "AttributeValue": entry["EventId"]}])
        assert [e["EventId"] for e in same] == [entry["EventId"]]


@pytest.fixture(scope="module")
def shared() -> Iterator[Running]:
    found = Running()
    ecs = found.client("ecs")
    ecs.create_cluster(clusterName="one")
    ecs.create_cluster(clusterName="two")
    ecs.describe_clusters()
    found.client("iam").create_user(UserName="ann")
    found.client("ecs", OTHER_ROOT).create_cluster(clusterName="theirs")
    found.client("ecs", region="eu-west-1").create_cluster(clusterName="elsewhere")
    original = found.gateway._audit.record

    async def not_lookups(context: Any) -> None:  # looking must not change what is looked at
        if context.name != "LookupEvents":
            await original(context)

    found.gateway._audit.record = not_lookups  # type: ignore[method-assign]
    yield found
    found.close()


def test_times_and_pages(shared: Running) -> None:
    now = datetime.now(UTC)
    assert lookup(shared, StartTime=now + timedelta(hours=1)) == []
    assert len(lookup(shared, StartTime=now - timedelta(hours=1), EndTime=now + timedelta(hours=1))) == 4
    client = shared.client("cloudtrail")
    assert code(client.lookup_events, StartTime=now, EndTime=now - timedelta(hours=1)) == "InvalidTimeRangeException"
    pages = client.get_paginator("lookup_events").paginate(PaginationConfig={"PageSize": 3})
    assert [len(p["Events"]) for p in pages] == [3, 1]
    token = client.lookup_events(MaxResults=1)["NextToken"]
    assert code(client.lookup_events, NextToken="x") == "InvalidNextTokenException"
    other = [{"AttributeKey": "ReadOnly", "AttributeValue": "true"}]
    assert code(client.lookup_events, NextToken=token, LookupAttributes=other) == "InvalidNextTokenException"
    assert code(client.lookup_events, LookupAttributes=other * 2) == "InvalidLookupAttributesException"
    assert client.describe_trails()["trailList"] == []
    assert code(client.create_trail, Name="t", S3BucketName="b") == "NotImplementedException"


@pytest.mark.parametrize(
    ("name", "code_", "words"),
    [
        ("main", "TrailNotFoundException", f"Unknown trail: main for the user: {ACCOUNT}"),
        ("my", "InvalidTrailNameException",
         "Trail name too short. Minimum allowed length: 3 characters. Specified name length: 2 characters."),
        ("m" * 129, "InvalidTrailNameException",
         "Trail name too long. Maximum allowed length: 128 characters. Specified name length: 129 characters."),
        ("-main", "InvalidTrailNameException", "Trail name must starts with a letter or number."),
        ("main.", "InvalidTrailNameException", "Trail name must ends with a letter or number."),
        ("ma in", "InvalidTrailNameException",
         "Trail name or ARN can only contain uppercase letters, lowercase letters, numbers, periods (.), hyphens (-), "
         "and underscores (_)."),
    ],
)  # fmt: skip
def test_trails_that_are_not_there(shared: Running, name: str, code_: str, words: str) -> None:
    with pytest.raises(ClientError) as told:
        shared.client("cloudtrail").get_trail(Name=name)
    assert (told.value.response["Error"]["Code"], told.value.response["Error"]["Message"]) == (code_, words)


def test_the_status_of_a_trail_that_is_not_there_names_its_arn(shared: Running) -> None:
    arn = f"arn:aws:cloudtrail:us-east-1:{ACCOUNT}:trail/main"
    for name in ("main", arn):
        with pytest.raises(ClientError) as told:
            shared.client("cloudtrail").get_trail_status(Name=name)
        assert told.value.response["Error"]["Message"] == f"Unknown trail: {arn} for the user: {ACCOUNT}"


IDENTITY = Identity("Root", ACCOUNT, "arn", ACCOUNT)


def draft(number: int = 0, at: float = 1000.0, region: str = "r") -> Draft:
    name = {"clusterName": str(number)}
    return Draft(f"id-{number}", at, "ecs", "CreateCluster", ACCOUNT, region, IDENTITY, False, request=name)


class Failing(MemoryJournal):
    broken = False

    async def append(self, stream: str, entries: Any, *, now: int = 0) -> int:
        await asyncio.sleep(0)
        if self.broken and stream.endswith("/bad"):
            raise Temporary("the disk is full")
        return await super().append(stream, entries, now=now)


async def test_nothing_is_lost_when_the_journal_fails() -> None:
    journal = Failing()
    trail = Trail(journal, lambda: 1000.0)
    journal.broken = True
    for number in range(3):
        trail.record(draft(number))
        trail.record(draft(number, region="bad"))
    with pytest.raises(Temporary):
        await trail.flush()
    journal.broken = False
    trail.record(draft(3, region="bad"))
    await asyncio.gather(trail.flush(), trail.flush(), trail.flush())
    for region, numbers in (("r", [0, 1, 2]), ("bad", [0, 1, 2, 3])):
        entries = await journal.scan(stream(ACCOUNT, region))
        assert [decode(e.data).request_id for e in entries] == [f"id-{n}" for n in numbers]


async def test_a_flush_keeps_all_that_was_queued_before() -> None:
    journal = Failing()
    trail = Trail(journal, lambda: 1000.0)

    async def call(number: int) -> None:
        trail.record(draft(number))
        await trail.flush()
        found = await journal.scan(stream(ACCOUNT, "r"))
        assert f"id-{number}" in {decode(e.data).request_id for e in found}

    await asyncio.gather(*(call(n) for n in range(50)))


async def test_large_requests_are_cut() -> None:
    journal = MemoryJournal()
    trail = Trail(journal, lambda: 1000.0)
    trail.record(draft()._replace(request={"x": "y" * 200_000}))
    await trail.flush()
    assert len((await journal.scan(stream(ACCOUNT, "r")))[0].data) < 1000


async def test_an_odd_request_does_not_block_the_rest() -> None:
    journal = MemoryJournal()
    trail = Trail(journal, lambda: 1000.0)
    trail.record(draft(1)._replace(user_agent="\udcff", request={"a": 1 << 80}))
    trail.record(draft(2))
    await trail.flush()
    events = [decode(e.data) for e in await journal.scan(stream(ACCOUNT, "r"))]
    assert [(e.request_id, e.user_agent) for e in events] == [("id-1", "?"), ("id-2", "")]


async def test_events_go_after_ninety_days_also_those_of_a_former_life() -> None:
    journal = MemoryJournal()
    former = Trail(journal, lambda: 1000.0)
    for day in (0, 1, 89):
        former.record(draft(day, at=1000.0 + day * 86_400))
    await former.flush()
    await Trail(journal, lambda: 1001.0 + 91 * 86_400).expire()
    events = [decode(e.data) for e in await journal.scan(stream(ACCOUNT, "r"))]
    assert [e.request_id for e in events] == ["id-89"]
    assert RETENTION_MS == 90 * 86_400_000


async def test_the_oldest_go_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    journal = MemoryJournal()
    trail = Trail(journal, lambda: 2000.0)
    for number in range(1000):
        trail.record(draft(number, at=1000.0 + number, region="ab"[number % 2]))
    await trail.flush()
    before = sum(e.bytes for e in (await journal.extents("")).values())
    monkeypatch.setattr("havre.services.cloudtrail.trail.MOST_KEPT", before // 2)
    await trail.expire()
    left = [decode(e.data) for name in "ab" for e in await journal.scan(stream(ACCOUNT, name))]
    assert 300 < len(left) <= 500
    assert min(e.at for e in left) == 2000.0 - len(left)


def test_a_page_ends_when_much_was_looked_through(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("havre.services.cloudtrail.operations.LOOKED_THROUGH", 4)
    monkeypatch.setattr("havre.services.cloudtrail.operations.BATCH", 2)
    ecs = running.client("ecs")
    ecs.create_cluster(clusterName="one")
    for _ in range(9):
        ecs.describe_clusters()
    wanted = [{"AttributeKey": "EventName", "AttributeValue": "CreateCluster"}]
    assert lookup(running, LookupAttributes=wanted) == []
    pages = running.client("cloudtrail").get_paginator("lookup_events").paginate(LookupAttributes=wanted)
    assert [e["EventName"] for page in pages for e in page["Events"]] == ["CreateCluster"]


def test_who_is_not_known_is_not_recorded_and_who_is_denied_is(running: Running) -> None:
    stranger = {"AccessKeyId": "AKIANOBODYNOBODYNOBO", "SecretAccessKey": "x"}
    assert code(running.client("ecs", stranger).create_cluster, clusterName="c") == "UnrecognizedClientException"
    forged = {"AccessKeyId": ROOT.access_key, "SecretAccessKey": "wrong"}
    assert code(running.client("ecs", forged).create_cluster, clusterName="c") == "InvalidSignatureException"
    iam = running.client("iam")
    iam.create_user(UserName="ann")
    ann = running.client("ecs", iam.create_access_key(UserName="ann")["AccessKey"])
    assert code(ann.create_cluster, clusterName="c") == "AccessDeniedException"
    (denied,) = running.events("CreateCluster")
    assert denied["errorCode"] == "AccessDenied" and "is not authorized to perform" in denied["errorMessage"]
    assert denied["userIdentity"]["userName"] == "ann" and denied["responseElements"] is None


def test_credentials_that_were_handed_out_are_told_without_their_secrets(running: Running) -> None:
    iam = running.client("iam")
    trust = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}],
        }
    )
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    iam.create_user(UserName="ann")
    may = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:*", "Resource": "*"}]}
    iam.put_user_policy(UserName="ann", PolicyName="p", PolicyDocument=json.dumps(may))
    sts = running.client("sts", iam.create_access_key(UserName="ann")["AccessKey"])
    made = sts.assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
    (event,) = running.events("AssumeRole")
    assert event["readOnly"] is True
    shown = event["responseElements"]["credentials"]
    assert shown["accessKeyId"] == made["AccessKeyId"] and shown["sessionToken"] == HIDDEN
    (key,) = running.events("CreateAccessKey")
    assert "secretAccessKey" not in json.dumps(key) and key["responseElements"]["accessKey"]["status"] == "Active"
    assert made["SecretAccessKey"] not in json.dumps([event, key])


@pytest.mark.parametrize(
    ("source", "code", "told"),
    [
        ("ec2", "InvalidVpcID.NotFound", "Client.InvalidVpcID.NotFound"),
        ("ec2", "Unavailable", "Server.Unavailable"),
        ("ecs", "AccessDeniedException", "AccessDenied"),
        ("ecs", "ClusterNotFoundException", "ClusterNotFoundException"),
    ],
)
def test_error_codes_are_told_as_cloudtrail_does(source: str, code: str, told: str) -> None:
    event = decode(pack(draft()._replace(source=source, error_code=code)))
    assert record(event)["errorCode"] == told


def test_event_ids_are_their_own() -> None:
    ids = {event_id(decode(pack(draft(n)))) for n in range(100)}
    assert len(ids) == 100 and all(len(i) == 36 for i in ids)


def test_secrets_are_hidden() -> None:
    answer = {
        "AccessKey": {"AccessKeyId": "AKIA", "SecretAccessKey": "s"},
        "Password": "p",
        "Nested": [{"SessionToken": "t"}],
    }
    shown = hidden("iam", "x", answer)
    assert shown == {"accessKey": {"accessKeyId": "AKIA"}, "password": HIDDEN, "nested": [{"sessionToken": HIDDEN}]}
    task = {"containerDefinitions": [{"name": "a", "environment": [{"name": "A", "value": "secret"}]}]}
    assert hidden("ecs", "x", task)["containerDefinitions"] == [{"name": "a", "environment": HIDDEN}]
    assert hidden("ecr", "x", {"layerPartBlob": b"x", "vpcId": "v"}) == {"vpcId": "v"}


values = st.recursive(
    st.none()
    | st.text(max_size=3)
    | st.integers()
    | st.binary(max_size=3)
    | st.floats(allow_nan=False)
    | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(st.dictionaries(st.text(max_size=3), values, max_size=3))
def test_whatever_was_asked_can_be_written_down(request: dict[str, Any]) -> None:
    json.dumps(hidden("ecs", "x", request))
