"""The whole chain, over a real port."""

from __future__ import annotations

import http.client
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.running_gateway import ACCOUNT, OTHER, OTHER_ROOT, ROOT, Running, code

from havre.gateway import limits
from havre.gateway.faults import spell
from havre.gateway.throttle import Rate
from havre.kernel.errors import ApiError

ALL = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    found = Running()
    yield found
    found.close()


def post(running: Running, body: bytes, headers: dict[str, str], path: str = "/") -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=90)
    connection.request("POST", path, body, headers)
    answer = connection.getresponse()
    read = answer.read()
    connection.close()
    return answer.status, {k.lower(): v for k, v in answer.getheaders()}, read


def test_who_calls_and_from_where(running: Running) -> None:
    assert running.client("sts").get_caller_identity()["Account"] == ACCOUNT
    assert running.client("sts", OTHER_ROOT).get_caller_identity()["Arn"] == f"arn:aws:iam::{OTHER}:root"
    made = running.client("ecs", region="eu-central-1").create_cluster(clusterName="c")["cluster"]
    assert made["clusterArn"] == f"arn:aws:ecs:eu-central-1:{ACCOUNT}:cluster/c"


def test_every_answer_has_a_request_id(running: Running) -> None:
    good = running.client("ecs").describe_clusters()["ResponseMetadata"]["RequestId"]
    with pytest.raises(ClientError) as bad:
        running.client("iam").get_user(UserName="nobody")
    ids = {good, bad.value.response["ResponseMetadata"]["RequestId"]}
    assert len(ids) == 2 and all(len(i) == 36 for i in ids)


@pytest.mark.parametrize(("service", "expected", "status"), [
    ("ecs", "UnrecognizedClientException", 400),
    ("iam", "InvalidClientTokenId", 403),
])  # fmt: skip
def test_a_key_that_nobody_has(running: Running, service: str, expected: str, status: int) -> None:
    client = running.client(service, {"AccessKeyId": "AKIANOBODY", "SecretAccessKey": "x"})
    with pytest.raises(ClientError) as told:
        client.list_clusters() if service == "ecs" else client.list_users()
    assert told.value.response["Error"]["Code"] == expected
    assert told.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


def test_a_wrong_secret_and_a_wrong_clock(running: Running) -> None:
    wrong = {"AccessKeyId": ROOT.access_key, "SecretAccessKey": "wrong"}
    assert code(running.client("ecs", wrong).describe_clusters) == "InvalidSignatureException"
    assert code(running.client("sts", wrong).get_caller_identity) == "SignatureDoesNotMatch"
    running.offset = 3600
    try:
        with pytest.raises(ClientError, match="Signature expired") as told:
            running.client("sts").get_caller_identity()
        assert told.value.response["Error"]["Code"] == "SignatureDoesNotMatch"
    finally:
        running.offset = 0


def test_nothing_signed(running: Running) -> None:
    target = {"X-Amz-Target": "AmazonEC2ContainerServiceV20141113.DescribeClusters"}
    status, _, body = post(running, b"{}", {**target, "Content-Type": "application/x-amz-json-1.1"})
    assert (status, json.loads(body)["__type"]) == (400, "MissingAuthenticationTokenException")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    status, _, body = post(running, b"Action=GetCallerIdentity&Version=2011-06-15", form)
    assert status == 403 and b"<Code>MissingAuthenticationToken</Code>" in body


def test_what_is_not_built_says_so(running: Running) -> None:
    with pytest.raises(ClientError, match="Havre does not implement ecs DescribeTasks") as told:
        running.client("ecs").describe_tasks(tasks=["x"])
    assert told.value.response["Error"]["Code"] == "NotImplementedException"
    with pytest.raises(ClientError, match="does not implement s3") as told:
        running.client("s3").list_buckets()
    assert told.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert code(running.client("dynamodb").list_tables) == "NotImplementedException"


def test_a_bug_stays_inside(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "havre.gateway"), pytest.raises(ClientError) as told:
        running.client("ecs").list_clusters()
    assert told.value.response["Error"]["Code"] == "InternalFailure"
    assert told.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert "secret cause" not in str(told.value)
    request_id = told.value.response["ResponseMetadata"]["RequestId"]
    assert any(request_id in r.getMessage() and r.exc_info for r in caplog.records)
    assert running.events("ListClusters")[0]["errorCode"] == "InternalFailure"


def test_sizes_are_bounded(running: Running) -> None:
    target = {"X-Amz-Target": "AmazonEC2ContainerServiceV20141113.DescribeClusters"}
    status, _, body = post(running, b"x" * (1024 * 1024 + 1), target)
    assert (status, json.loads(body)["__type"]) == (413, "RequestEntityTooLargeException")
    assert post(running, b"", {}, "/?" + "a" * 20_000)[0] == 414


def test_who_announces_too_much_and_sends_nothing_hears_why(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DRAIN_PATIENCE", 0.1)
    target = {"X-Amz-Target": "AmazonEC2ContainerServiceV20141113.DescribeClusters", "Content-Length": str(10**12)}
    status, _, body = post(running, b"{", target)
    assert (status, json.loads(body)["__type"]) == (413, "RequestEntityTooLargeException")


def test_much_is_read_only_from_those_who_have_a_key(running: Running) -> None:
    """The largest requests are ECR's; a stranger's is thrown away as it comes."""
    body = b'{"repositoryName": "' + b"x" * (2 * 1024 * 1024) + b'"}'
    scope = "20260101/us-east-1/ecr/aws4_request"
    for key, wanted in (
        ("AKIANOBODYNOBODYNOBO", "UnrecognizedClientException"),
        (ROOT.access_key, "NotImplementedException"),
    ):
        signed = f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders=host, Signature=00"
        target = "AmazonEC2ContainerRegistry_V20150921.DescribeImages"
        headers = {"X-Amz-Target": target, "Authorization": signed, "X-Amz-Date": "20260101T000000Z"}
        _, _, answer = post(running, body, headers)
        assert wanted in json.loads(answer)["__type"]


def test_bad_bodies(running: Running) -> None:
    status, _, _ = post(running, b"", {"Authorization": "AWS4-HMAC-SHA256 nonsense"})
    assert status == 400
    status, _, _ = post(running, b"\xff\xfe", {"X-Amz-Target": "a.b", "Authorization": "\xff"})
    assert status == 400
    assert code(running.client("ecs").create_cluster, clusterName=5 * "x", tags=[{"key": "k" * 129}]) != "no error"


def test_policies_decide(running: Running) -> None:
    iam = running.client("iam")
    iam.create_user(UserName="policy-ann")
    key = iam.create_access_key(UserName="policy-ann")["AccessKey"]
    ecs = running.client("ecs", key)
    with pytest.raises(ClientError) as told:
        ecs.describe_clusters(clusters=["a"])
    error = told.value.response["Error"]
    assert error["Code"] == "AccessDeniedException"
    assert error["Message"] == (
        f"User: arn:aws:iam::{ACCOUNT}:user/policy-ann is not authorized to perform: ecs:DescribeClusters on resource: "
        f"arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/a because no identity-based policy allows the ecs:DescribeClusters action"
    )

    def put(*statements: dict[str, Any]) -> None:
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_user_policy(UserName="policy-ann", PolicyName="p", PolicyDocument=document)

    a = f"arn:aws:ecs:*:{ACCOUNT}:cluster/a*"
    put({"Effect": "Allow", "Action": "ecs:Describe*", "Resource": a})
    assert ecs.describe_clusters(clusters=["a"])["clusters"]
    assert code(ecs.describe_clusters, clusters=["a", "b"]) == "AccessDeniedException"
    put(
        {
            "Effect": "Allow",
            "Action": "*",
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:RequestedRegion": "eu-west-1"}},
        }
    )
    assert code(ecs.describe_clusters, clusters=["a"]) == "AccessDeniedException"
    assert running.client("ecs", key, "eu-west-1").describe_clusters(clusters=["a"])["clusters"]
    tagged = {"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}, "StringEquals": {"aws:RequestTag/team": "red"}}
    put({"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": tagged})
    assert code(ecs.create_cluster, clusterName="x") == "AccessDeniedException"
    assert code(ecs.create_cluster, clusterName="x", tags=[{"key": "team", "value": "blue"}]) == "AccessDeniedException"
    ecs.create_cluster(clusterName="x", tags=[{"key": "team", "value": "red"}])
    put({"Effect": "Allow", "Action": "*", "Resource": "*"}, {"Effect": "Deny", "Action": "ecs:*", "Resource": "*"})
    with pytest.raises(ClientError, match="with an explicit deny in an identity-based policy"):
        ecs.describe_clusters(clusters=["a"])
    iam.update_access_key(UserName="policy-ann", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert code(ecs.describe_clusters) == "UnrecognizedClientException"


def test_a_resource_policy_lets_another_account_in() -> None:
    allow = {"Effect": "Allow", "Principal": {"AWS": OTHER}, "Action": "ecs:DescribeClusters", "Resource": "*"}
    text = json.dumps({"Version": "2012-10-17", "Statement": allow})
    running = Running(resource_policies={"ecs": lambda store, arn: text if arn.endswith("/shared") else None})
    try:
        principal = running.directory.credential(OTHER_ROOT.access_key).principal  # type: ignore[union-attr]
        theirs = f"arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/"
        running.gateway.authorize(principal, "us-east-1", "ecs:DescribeClusters", [theirs + "shared"])
        for action, name in (("ecs:DescribeClusters", "mine"), ("ecs:DeleteCluster", "shared")):
            with pytest.raises(ApiError, match="no resource-based policy allows"):
                running.gateway.authorize(principal, "us-east-1", action, [theirs + name])
    finally:
        running.close()


def test_what_was_decided_is_decided_again_once_it_could_be_otherwise() -> None:
    """A decision is remembered; a policy on the resource and the caller's own are asked all the same."""
    deny = {"Effect": "Deny", "Principal": "*", "Action": "ecs:CreateCluster", "Resource": "*"}
    policies: dict[str, str] = {}
    running = Running(resource_policies={"ecs": lambda store, arn: policies.get(arn)})
    try:
        iam = running.client("iam")
        iam.create_user(UserName="ann")
        iam.put_user_policy(UserName="ann", PolicyName="p", PolicyDocument=json.dumps(ALL))
        key = iam.create_access_key(UserName="ann")["AccessKey"]
        ecs, own = running.client("ecs", key), running.client("iam", key)
        for _ in range(2):
            ecs.create_cluster(clusterName="a")
            own.list_users()
        policies[f"arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/a"] = json.dumps(
            {"Version": "2012-10-17", "Statement": deny}
        )
        assert code(ecs.create_cluster, clusterName="a") == "AccessDeniedException"
        policies.clear()
        ecs.create_cluster(clusterName="a")
        iam.delete_user_policy(UserName="ann", PolicyName="p")
        assert code(ecs.create_cluster, clusterName="a") == "AccessDeniedException"
        assert code(own.list_users) == "AccessDenied"
    finally:
        running.close()


def test_a_service_that_acts_for_a_resource_may_what_resource_policies_let_it() -> None:
    topic = f"arn:aws:sns:us-east-1:{ACCOUNT}:topic"
    policy = {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "ecs:*",
            "Resource": "*",
            "Condition": {"ArnLike": {"aws:SourceArn": topic}},
        },
    }
    running = Running(resource_policies={"ecs": lambda store, arn: json.dumps(policy)})
    try:
        for service, source, allowed in (
            ("sns.amazonaws.com", topic, True),
            ("sns.amazonaws.com", topic + "2", False),
            ("events.amazonaws.com", topic, False),
            ("events.amazonaws.com", "", True),
        ):
            aws = running.gateway.as_service(service, ACCOUNT, "us-east-1", source)
            if allowed:
                running.wait(aws("ecs", "CreateCluster", {"clusterName": "a"}))
            else:
                with pytest.raises(ApiError, match="no resource-based policy allows"):
                    running.wait(aws("ecs", "CreateCluster", {"clusterName": "a"}))
    finally:
        running.close()


def test_data_events_are_not_recorded(running: Running) -> None:
    put = running.client("ecs", parameter_validation=False).put_attributes
    put(attributes=[{"name": "a", "value": "b", "targetId": "x"}])
    assert code(put, attributes=[{"name": {}}]) == "SerializationException"
    assert running.events("PutAttributes") == []


def test_calls_within_the_process(running: Running) -> None:
    gateway = running.gateway
    as_ecs = gateway.as_service("ecs.amazonaws.com", ACCOUNT, "us-east-1")
    assert running.wait(as_ecs("ecs", "CreateCluster", {"clusterName": "inner"}))["cluster"]["clusterName"] == "inner"
    event = running.events("CreateCluster")[0]
    assert event["userIdentity"]["invokedBy"] == event["sourceIPAddress"] == "ecs.amazonaws.com"
    assert event["userIdentity"]["sessionContext" if "sessionContext" in event["userIdentity"] else "arn"]
    principal = running.directory.credential(ROOT.access_key).principal  # type: ignore[union-attr]
    local = gateway.local(principal, ACCOUNT, "us-east-1")
    assert running.wait(local("sts", "GetCallerIdentity", {}))["Account"] == ACCOUNT
    for service, name, request, expected in (
        ("ecs", "DescribeTasks", {"tasks": ["x"]}, "NotImplementedException"),
        ("iam", "GetUser", {"UserName": "nobody"}, "NoSuchEntity"),
        ("iam", "CreateUser", {}, "ValidationError"),
        ("iam", "CreateUser", {"Username": "x"}, "InternalFailure"),
    ):
        with pytest.raises(ApiError) as told:
            running.wait(local(service, name, request))
        assert told.value.code == expected


def test_throttling() -> None:
    running = Running(throttle={"reads": Rate(3, 0.001)})
    try:
        ecs = running.client("ecs")
        for _ in range(3):
            ecs.describe_clusters()
        assert code(ecs.describe_clusters) == "ThrottlingException"
        assert running.client("ecs", OTHER_ROOT).describe_clusters()
        iam = running.client("iam")
        for _ in range(3):
            iam.list_users()
        assert code(iam.list_users) == "Throttling"
    finally:
        running.close()


def test_each_service_has_its_words_for_a_throttle() -> None:
    told = spell("throttled", "rest-json", "Rate exceeded", "lambda")
    assert (told.code, told.status, told.fields) == (
        "TooManyRequestsException", 429, {"Reason": "CallerRateLimitExceeded"}
    )  # fmt: skip
    assert spell("throttled", "rest-json", "Rate exceeded", "eks").code == "ThrottlingException"


def test_open_doors() -> None:
    running = Running(auth="open")
    try:

        def whose(key: str) -> str:
            client = running.client("sts", {"AccessKeyId": key, "SecretAccessKey": "any"})
            return str(client.get_caller_identity()["Account"])

        assert whose("123456789012") == "123456789012"
        assert whose("test") == "000000000000"
        made = running.client("ecs", {"AccessKeyId": "test", "SecretAccessKey": "t"}, "ap-south-1").create_cluster(
            clusterName="c"
        )
        assert made["cluster"]["clusterArn"] == "arn:aws:ecs:ap-south-1:000000000000:cluster/c"
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        status, _, body = post(running, b"Action=GetCallerIdentity&Version=2011-06-15", form)
        assert status == 200 and b"000000000000" in body
        scope = "123456789012/20260101/ap-south-1/sts/aws4_request"  # neither a date nor a signature
        half = {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host", **form}
        status, _, body = post(running, b"Action=GetCallerIdentity&Version=2011-06-15", half)
        assert status == 200 and b"arn:aws:iam::123456789012:root" in body
        query = f"/?X-Amz-Credential={scope.replace('/', '%2F')}"
        status, _, body = post(running, b"Action=GetCallerIdentity&Version=2011-06-15", form, query)
        assert status == 200 and b"arn:aws:iam::123456789012:root" in body
        assert running.client("sts").get_caller_identity()["Account"] == ACCOUNT
    finally:
        running.close()


def test_what_is_not_aws_goes_elsewhere() -> None:
    def app(name: str) -> Any:
        async def answer(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": f"{name} {scope['path']}".encode()})

        return answer

    running = Running(
        internal={"/_havre/health": app("health"), "/_havre/explain": app("explain")}, registry=app("registry")
    )
    try:
        assert post(running, b"", {}, "/_havre/health")[2] == b"health /_havre/health"
        assert post(running, b"", {}, "/_havre/explain/arn:x/y")[2] == b"explain /_havre/explain/arn:x/y"
        assert post(running, b"", {}, "/_havre/other")[0] == 404
        assert post(running, b"", {}, "/v2/")[2] == b"registry /v2/"
        assert post(running, b"", {}, "/v2")[2] == b"registry /v2"
        assert post(running, b"", {}, "/v2x")[0] == 404
    finally:
        running.close()
