"""Everything that can set a function off, for real: what it was given tells that it was."""

from __future__ import annotations

import base64
import gzip
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.ports import free_port

from .conftest import Instance, eventually
from .lambda_world import ACCOUNT, REGION, TRUST, World, document, need_runtime

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def world(shared: Instance) -> Iterator[World]:
    need_runtime()
    yield World(shared)


def _map(world: World, source: str, function: str, **more: Any) -> str:
    made = world.client("lambda").create_event_source_mapping(EventSourceArn=source, FunctionName=function, **more)
    eventually(
        lambda: world.client("lambda").get_event_source_mapping(UUID=made["UUID"])["State"] == "Enabled", timeout=60
    )
    return str(made["UUID"])


def test_messages_of_a_queue(world: World) -> None:
    """By a role that may no more than AWS's own policy for this says, and send to its witness."""
    iam = world.client("iam")
    role = iam.create_role(RoleName="queue", AssumeRolePolicyDocument=document(TRUST))["Role"]["Arn"]
    managed = "arn:aws:iam::aws:policy/service-role/AWSLambdaSQSQueueExecutionRole"
    iam.attach_role_policy(RoleName="queue", PolicyArn=managed)
    tell = {"Statement": {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}}
    iam.put_role_policy(RoleName="queue", PolicyName="tell", PolicyDocument=document(tell))
    function, told = world.witness("from-queue", Role=role)
    url, arn = world.queue("work", VisibilityTimeout="60")
    pattern = json.dumps({"body": {"kind": ["order"]}})
    pollers = {"MinimumPollers": 2, "MaximumPollers": 4}
    _map(world, arn, function, FilterCriteria={"Filters": [{"Pattern": pattern}]}, ProvisionedPollerConfig=pollers)
    attributes = {
        "text": {"DataType": "String", "StringValue": "x"},
        "bytes": {"DataType": "Binary", "BinaryValue": b"\0"},
    }
    for kind in ("other", "order"):
        world.client("sqs").send_message(
            QueueUrl=url, MessageBody=json.dumps({"kind": kind}), MessageAttributes=attributes
        )
    record = told()["Records"][0]
    lists: dict[str, list[str]] = {"stringListValues": [], "binaryListValues": []}
    assert record["messageAttributes"] == {
        "text": {"stringValue": "x", **lists, "dataType": "String"},
        "bytes": {"binaryValue": "AA==", **lists, "dataType": "Binary"},
    }
    assert json.loads(record["body"]) == {"kind": "order"} and record["eventSourceARN"] == arn
    counted = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    eventually(
        lambda: (
            set(world.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=counted)["Attributes"].values())
            == {"0"}
        )
    )


def test_a_fifo_queue_keeps_its_order(world: World) -> None:
    code = """
import boto3, json, os
sqs = boto3.client("sqs")
def handler(event, context):
    for record in event["Records"]:
        sqs.send_message(QueueUrl=os.environ["TELL"], MessageBody=record["body"], MessageGroupId="g")
"""
    url, arn = world.queue("in.fifo", FifoQueue="true", ContentBasedDeduplication="true", VisibilityTimeout="60")
    out, _ = world.queue("out.fifo", FifoQueue="true", ContentBasedDeduplication="true")
    function = world.function("in-order", code, Environment={"Variables": {"TELL": out}})
    _map(world, arn, function)
    sqs = world.client("sqs")
    for n in range(40):
        sqs.send_message(QueueUrl=url, MessageBody=str(n), MessageGroupId=str(n % 4))
    seen: list[int] = []

    def all_there() -> bool:
        for message in sqs.receive_message(QueueUrl=out, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", ()):
            seen.append(int(message["Body"]))
            sqs.delete_message(QueueUrl=out, ReceiptHandle=message["ReceiptHandle"])
        return len(seen) == 40

    eventually(all_there)
    for group in range(4):
        assert [n for n in seen if n % 4 == group] == list(range(group, 40, 4))


def test_records_of_a_stream(world: World) -> None:
    function, told = world.witness("from-stream")
    kinesis = world.client("kinesis")
    kinesis.create_stream(StreamName="clicks", ShardCount=1)
    kinesis.get_waiter("stream_exists").wait(StreamName="clicks", WaiterConfig={"Delay": 1})
    arn = kinesis.describe_stream_summary(StreamName="clicks")["StreamDescriptionSummary"]["StreamARN"]
    _map(world, arn, function, StartingPosition="TRIM_HORIZON")
    kinesis.put_record(StreamName="clicks", Data=b"click", PartitionKey="k")
    record = told()["Records"][0]
    assert base64.b64decode(record["kinesis"]["data"]) == b"click" and record["eventSource"] == "aws:kinesis"
    assert record["eventID"].startswith("shardId-") and record["eventSourceARN"] == arn


def test_records_that_a_consumer_is_pushed(world: World) -> None:
    """Enhanced fan-out, by a role that may no more than AWS's own policy for streams says, and send to its witness."""
    iam = world.client("iam")
    role = iam.create_role(RoleName="pushed", AssumeRolePolicyDocument=document(TRUST))["Role"]["Arn"]
    managed = "arn:aws:iam::aws:policy/service-role/AWSLambdaKinesisExecutionRole"
    iam.attach_role_policy(RoleName="pushed", PolicyArn=managed)
    tell = {"Statement": {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}}
    iam.put_role_policy(RoleName="pushed", PolicyName="tell", PolicyDocument=document(tell))
    function, told = world.witness("from-consumer", Role=role)
    kinesis = world.client("kinesis")
    kinesis.create_stream(StreamName="fanned", ShardCount=1)
    arn = kinesis.describe_stream_summary(StreamName="fanned")["StreamDescriptionSummary"]["StreamARN"]
    consumer = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="fast")["Consumer"]["ConsumerARN"]
    kinesis.put_record(StreamName="fanned", Data=b"early", PartitionKey="k")
    _map(world, consumer, function, StartingPosition="TRIM_HORIZON", BatchSize=1)
    record = told()["Records"][0]
    assert base64.b64decode(record["kinesis"]["data"]) == b"early" and record["eventSourceARN"] == consumer
    kinesis.split_shard(StreamName="fanned", ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**127))
    kinesis.put_record(StreamName="fanned", Data=b"late", PartitionKey="k")
    record = told(lambda event: event["Records"][0]["kinesis"]["data"] == base64.b64encode(b"late").decode())
    assert not record["Records"][0]["eventID"].startswith("shardId-000000000000")


def test_changes_of_a_table(world: World) -> None:
    function, told = world.witness("from-table")
    made = world.client("dynamodb").create_table(
        TableName="things",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    _map(world, made["TableDescription"]["LatestStreamArn"], function, StartingPosition="LATEST")
    world.client("dynamodb").put_item(TableName="things", Item={"id": {"S": "one"}, "data": {"B": b"\x00"}})
    record = told()["Records"][0]
    assert record["eventName"] == "INSERT" and record["eventSource"] == "aws:dynamodb"
    assert record["dynamodb"]["NewImage"] == {"id": {"S": "one"}, "data": {"B": "AA=="}}


def test_objects_of_a_bucket(world: World) -> None:
    function, told = world.witness("from-bucket")
    s3 = world.client("s3")
    s3.create_bucket(Bucket="uploads")
    configuration = {
        "LambdaFunctionConfigurations": [
            {
                "LambdaFunctionArn": function,
                "Events": ["s3:ObjectCreated:*"],
                "Filter": {"Key": {"FilterRules": [{"Name": "suffix", "Value": ".txt"}]}},
            }
        ]
    }
    with pytest.raises(s3.exceptions.ClientError, match="validate the following destination"):
        s3.put_bucket_notification_configuration(Bucket="uploads", NotificationConfiguration=configuration)
    world.let(function, "s3.amazonaws.com", "arn:aws:s3:::uploads")
    s3.put_bucket_notification_configuration(Bucket="uploads", NotificationConfiguration=configuration)
    s3.put_object(Bucket="uploads", Key="a b.bin", Body=b"1")
    s3.put_object(Bucket="uploads", Key="a b.txt", Body=b"12")
    record = told()["Records"][0]
    assert record["s3"]["object"]["key"] == "a+b.txt" and record["s3"]["object"]["size"] == 2
    assert record["eventName"] == "ObjectCreated:Put"


def test_messages_of_a_topic(world: World) -> None:
    function, told = world.witness("from-topic")
    topic = world.client("sns").create_topic(Name="news")["TopicArn"]
    world.let(function, "sns.amazonaws.com", topic)
    world.client("sns").subscribe(TopicArn=topic, Protocol="lambda", Endpoint=function)
    world.client("sns").publish(TopicArn=topic, Message="hello", Subject="s")
    record = told()["Records"][0]
    assert (
        record["EventSource"] == "aws:sns"
        and record["Sns"]["Message"] == "hello"
        and record["Sns"]["TopicArn"] == topic
    )


def test_events_of_a_bus_and_a_schedule(world: World) -> None:
    function, told = world.witness("from-bus")
    events = world.client("events")
    rule = events.put_rule(Name="orders", EventPattern=json.dumps({"source": ["shop"]}))["RuleArn"]
    world.let(function, "events.amazonaws.com", rule)
    events.put_targets(Rule="orders", Targets=[{"Id": "1", "Arn": function}])
    for source in ("other", "shop"):
        entry = {"Source": source, "DetailType": "made", "Detail": json.dumps({"id": 7})}
        assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0
    event = told()
    assert event["source"] == "shop" and event["detail"] == {"id": 7} and event["detail-type"] == "made"
    iam = world.client("iam")
    trust = {
        "Statement": {
            "Effect": "Allow",
            "Principal": {"Service": "scheduler.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    }
    role = iam.create_role(RoleName="scheduler", AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
    allow = {"Statement": {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": "*"}}
    iam.put_role_policy(RoleName="scheduler", PolicyName="p", PolicyDocument=document(allow))
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 2))
    world.client("scheduler").create_schedule(
        Name="once",
        ScheduleExpression=f"at({at})",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": function, "RoleArn": role, "Input": json.dumps({"scheduled": True})},
    )
    assert told(lambda event: "scheduled" in event) == {"scheduled": True}


def test_lines_of_a_log_group(world: World) -> None:
    function, told = world.witness("from-log")
    logs = world.client("logs")
    logs.create_log_group(logGroupName="/app")
    logs.create_log_stream(logGroupName="/app", logStreamName="one")
    world.let(function, "logs.amazonaws.com", f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/app:*")
    logs.put_subscription_filter(
        logGroupName="/app", filterName="errors", filterPattern="ERROR", destinationArn=function
    )
    event = {"timestamp": int(time.time() * 1000), "message": "ERROR it broke"}
    logs.put_log_events(logGroupName="/app", logStreamName="one", logEvents=[event])
    data = json.loads(gzip.decompress(base64.b64decode(told()["awslogs"]["data"])))
    assert data["logEvents"][0]["message"] == "ERROR it broke" and data["subscriptionFilters"] == ["errors"]


def _fetch(url: str, host: str, **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(url, headers={"Host": host, **headers})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_requests_by_url_api_and_load_balancer(world: World) -> None:
    function, told = world.witness("from-web")
    client = world.client("lambda")
    url = client.create_function_url_config(FunctionName="from-web", AuthType="NONE")["FunctionUrl"]
    host = url.split("/")[2]
    endpoint = world.instance.endpoint
    assert _fetch(f"{endpoint}/by/url", host)[0] == 403, "its policy lets nobody in"
    for action, more in (
        ("lambda:InvokeFunctionUrl", {"FunctionUrlAuthType": "NONE"}),
        ("lambda:InvokeFunction", {"InvokedViaFunctionUrl": True}),
    ):
        client.add_permission(FunctionName="from-web", StatementId=action[7:], Action=action, Principal="*", **more)
    assert _fetch(f"{endpoint}/by/url", host) == (200, "seen")
    assert told()["rawPath"] == "/by/url"
    api = world.client("apigatewayv2").create_api(Name="web", ProtocolType="HTTP", Target=function)
    assert _fetch(f"{endpoint}/by/api", api["ApiEndpoint"].split("/")[2])[0] == 500, (
        "its policy does not let the API in"
    )
    world.let("from-web", "apigateway.amazonaws.com", f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{api['ApiId']}/*")
    assert _fetch(f"{endpoint}/by/api", api["ApiEndpoint"].split("/")[2]) == (200, "seen")
    assert told()["rawPath"] == "/by/api"
    elb = world.client("elbv2")
    group = elb.create_target_group(Name="from-web", TargetType="lambda")["TargetGroups"][0]["TargetGroupArn"]
    world.let("from-web", "elasticloadbalancing.amazonaws.com", group)
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": function}])
    ec2, port = world.client("ec2"), free_port()
    places = ec2.describe_subnets()["Subnets"][:2]
    opened = ec2.create_security_group(GroupName="web", Description="web", VpcId=places[0]["VpcId"])["GroupId"]
    everybody = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.authorize_security_group_ingress(GroupId=opened, IpPermissions=[everybody])
    subnets = [place["SubnetId"] for place in places]
    balancer = elb.create_load_balancer(Name="web", Subnets=subnets, SecurityGroups=[opened])["LoadBalancers"][0]
    action = {"Type": "forward", "TargetGroupArn": group}
    elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTP", Port=port, DefaultActions=[action]
    )
    eventually(lambda: _tried(f"http://127.0.0.1:{port}/by/balancer", balancer["DNSName"]) == (200, "seen"))
    assert told()["path"] == "/by/balancer"


def _tried(url: str, host: str) -> tuple[int, str] | None:
    try:
        return _fetch(url, host)
    except OSError:
        return None
