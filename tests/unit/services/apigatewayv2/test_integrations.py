"""What integrations get and answer once parameters are mapped, and routes that are operations of other services."""

from __future__ import annotations

import http.server
import json
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any

import pytest
from tests.running_gateway import ACCOUNT, code
from tests.unit.services.apigatewayv2.http_world import FUNCTION, World

from havre.control.operation import Operations, Service
from havre.kernel.errors import ApiError, Temporary

QUEUE = f"http://127.0.0.1/{ACCOUNT}/work"
SQS = "{http://queue.amazonaws.com/doc/2012-11-05/}"


class Others:
    """Services behind the API: what they were asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.answers: dict[str, Any] = {}

    def services(self) -> list[Service]:
        names = {
            "sqs": ("SendMessage", "ReceiveMessage", "DeleteMessage", "PurgeQueue"),
            "events": ("PutEvents",),
            "kinesis": ("PutRecord",),
        }
        return [self._service(service, operations) for service, operations in names.items()]

    def _service(self, service: str, operations: tuple[str, ...]) -> Service:
        ops = Operations()
        for operation in operations:

            @ops(operation)
            async def take(call: Any, request: Any) -> Any:
                self.asked.append((call.operation, dict(request)))
                answer = self.answers.get(call.operation, {})
                if isinstance(answer, Exception):
                    raise answer
                return answer

        return Service(service, ops.all)


@pytest.fixture
def others() -> Others:
    return Others()


@pytest.fixture
def world(others: Others) -> Iterator[World]:
    made = World(others.services())
    yield made
    made.running.close()


def _routed(world: World, key: str, **integration: Any) -> str:
    id = world.make()
    world.api.create_stage(ApiId=id, StageName="$default", AutoDeploy=True, StageVariables={"v": "blue"})
    made = world.api.create_integration(ApiId=id, IntegrationType="AWS_PROXY", **integration)
    world.api.create_route(ApiId=id, RouteKey=key, Target=f"integrations/{made['IntegrationId']}")
    return id


def test_a_function_gets_what_was_mapped(world: World) -> None:
    given = {
        "append:header.x-stage": "$stageVariables.v",
        "remove:header.x-secret": "''",
        "overwrite:querystring.id": "$request.path.id",
        "overwrite:path": "/v2/${request.path.id}",
    }
    answers = {"200": {"append:header.x-id": "$context.requestId", "overwrite:statuscode": "201"}}
    id = _routed(
        world,
        "GET /pets/{id}",
        IntegrationUri=FUNCTION,
        PayloadFormatVersion="2.0",
        RequestParameters=given,
        ResponseParameters=answers,
    )
    status, body, headers = world.ask(id, "/pets/7?id=1&a=2", x_secret="s")
    assert (status, body) == (201, "hello") and headers["x-id"] == headers["apigw-requestid"]
    event = world.events[-1]
    assert event["rawPath"] == "/v2/7" and event["headers"]["x-stage"] == "blue" and "x-secret" not in event["headers"]
    assert event["queryStringParameters"] == {"a": "2", "id": "7"} and event["pathParameters"] == {"id": "7"}
    world.answers[FUNCTION] = lambda event: {"statusCode": 404}
    assert world.ask(id, "/pets/7")[0] == 404, "answers of another status stay as they are"


def test_a_server_gets_what_was_mapped(world: World) -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps([self.path, self.headers.get("x-new")]).encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    id = world.make()
    world.api.create_stage(ApiId=id, StageName="dev", AutoDeploy=True)
    made = world.api.create_integration(
        ApiId=id,
        IntegrationType="HTTP_PROXY",
        IntegrationMethod="ANY",
        IntegrationUri=f"http://127.0.0.1:{server.server_address[1]}/base",
        RequestParameters={"overwrite:path": "$request.path", "append:header.x-new": "$request.header.x-old"},
    )
    world.api.create_route(ApiId=id, RouteKey="ANY /{proxy+}", Target=f"integrations/{made['IntegrationId']}")
    told = world.ask(id, "/dev/a/b?q=1", x_old="1")
    assert json.loads(told[1]) == ["/a/b?q=1", "1"]
    update = world.api.update_integration
    where = {"ApiId": id, "IntegrationId": made["IntegrationId"]}
    changed = update(**where, RequestParameters={"append:header.x-new": "2"}, ResponseParameters={"200": {}})
    assert changed["RequestParameters"]["overwrite:path"] == "$request.path"
    assert json.loads(world.ask(id, "/dev/a")[1]) == ["/a", "2"]
    assert (
        "append:header.x-new" not in update(**where, RequestParameters={"append:header.x-new": ""})["RequestParameters"]
    )
    server.shutdown()
    server.server_close()


def test_a_message_is_sent(world: World, others: Others) -> None:
    others.answers["SendMessage"] = {"MessageId": "m1", "MD5OfMessageBody": "5d41"}
    id = _routed(
        world,
        "POST /send/{group}",
        IntegrationSubtype="SQS-SendMessage",
        PayloadFormatVersion="1.0",
        CredentialsArn=world.role("sqs:SendMessage"),
        RequestParameters={
            "QueueUrl": QUEUE,
            "MessageBody": "$request.body.message",
            "MessageGroupId": "$request.path.group",
            "DelaySeconds": "$request.header.x-delay",
            "MessageAttributes": '{"v": {"DataType": "String", "StringValue": "${stageVariables.v}"}}',
        },
    )
    status, body, headers = world.ask(id, "/send/g", "POST", b'{"message": {"a": 1}}', x_delay="3")
    assert status == 200 and headers["content-type"] == "text/xml"
    assert ET.fromstring(body).findtext(f"{SQS}SendMessageResult/{SQS}MessageId") == "m1"
    assert others.asked == [
        (
            "SendMessage",
            {
                "QueueUrl": QUEUE,
                "MessageBody": '{"a": 1}',
                "MessageGroupId": "g",
                "DelaySeconds": 3,
                "MessageAttributes": {"v": {"DataType": "String", "StringValue": "blue"}},
            },
        )
    ]
    assert world.ask(id, "/send/g", "POST", b"{}")[0] == 400, "there is no message"
    assert world.ask(id, "/send/g", "POST", b'{"message": "m"}', x_delay="soon")[0] == 400
    assert len(others.asked) == 1
    others.answers["SendMessage"] = ApiError("AWS.SimpleQueueService.NonExistentQueue", "No <queue>.", 400)
    status, body, _ = world.ask(id, "/send/g", "POST", b'{"message": "m"}')
    assert status == 400 and ET.fromstring(body).findtext(f"{SQS}Error/{SQS}Message") == "No <queue>."
    others.answers["SendMessage"] = Temporary("no")
    assert world.ask(id, "/send/g", "POST", b'{"message": "m"}')[0] == 503


def test_messages_are_received(world: World, others: Others) -> None:
    message = {"MessageId": "m1", "Body": "<a&b>", "Attributes": {"SentTimestamp": "1"}}
    others.answers["ReceiveMessage"] = {"Messages": [message, {"MessageId": "m2", "Body": "c"}]}
    id = _routed(
        world,
        "GET /next",
        IntegrationSubtype="SQS-ReceiveMessage",
        PayloadFormatVersion="1.0",
        CredentialsArn=world.role("sqs:ReceiveMessage"),
        RequestParameters={"QueueUrl": QUEUE, "MaxNumberOfMessages": "2", "AttributeNames": '["All"]'},
    )
    found = ET.fromstring(world.ask(id, "/next")[1]).findall(f"{SQS}ReceiveMessageResult/{SQS}Message")
    assert [each.findtext(f"{SQS}Body") for each in found] == ["<a&b>", "c"]
    assert found[0].findtext(f"{SQS}Attribute/{SQS}Name") == "SentTimestamp"
    assert others.asked[0][1]["MaxNumberOfMessages"] == 2 and others.asked[0][1]["AttributeNames"] == ["All"]


def test_an_event_and_a_record_are_put(world: World, others: Others) -> None:
    others.answers["PutEvents"] = {"FailedEntryCount": 0, "Entries": [{"EventId": "e"}]}
    others.answers["PutRecord"] = {"SequenceNumber": "1", "ShardId": "s"}
    role = world.role("events:PutEvents", "kinesis:PutRecord")
    event = {
        "Detail": "$request.body",
        "DetailType": "made",
        "Source": "shop",
        "Time": "2026-01-01T00:00:00Z",
        "Resources": '["r"]',
    }
    record = {"StreamName": "clicks", "Data": "$request.body", "PartitionKey": "$context.identity.sourceIp"}
    first = _routed(
        world, "POST /", IntegrationSubtype="EventBridge-PutEvents", CredentialsArn=role, RequestParameters=event
    )
    second = _routed(
        world, "POST /", IntegrationSubtype="Kinesis-PutRecord", CredentialsArn=role, RequestParameters=record
    )
    assert json.loads(world.ask(first, "/", "POST", b'{"n": 1}')[1])["Entries"] == [{"EventId": "e"}]
    assert json.loads(world.ask(second, "/", "POST", b"click")[1]) == {"SequenceNumber": "1", "ShardId": "s"}
    entry = {
        "Detail": '{"n": 1}',
        "DetailType": "made",
        "Source": "shop",
        "Time": 1767225600.0,
        "Resources": ["r"],
    }
    assert others.asked[0] == ("PutEvents", {"Entries": [entry]})
    assert others.asked[1][1] == {"StreamName": "clicks", "Data": b"click", "PartitionKey": "127.0.0.1"}


def test_the_role_has_to_be_allowed_and_passed(world: World, others: Others) -> None:
    role = world.role("sqs:ReceiveMessage")
    parameters = {"QueueUrl": QUEUE, "MessageBody": "$request.body"}
    given = {"IntegrationSubtype": "SQS-SendMessage", "CredentialsArn": role, "RequestParameters": parameters}
    id = _routed(world, "POST /", **given)
    assert world.ask(id, "/", "POST", b"m")[:2] == (500, '{"message":"Internal Server Error"}')
    assert not others.asked
    iam = world.running.client("iam")
    iam.create_user(UserName="bob")
    statement = {"Effect": "Allow", "Action": "apigateway:*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="bob", PolicyName="p", PolicyDocument=document)
    bob = world.running.client("apigatewayv2", iam.create_access_key(UserName="bob")["AccessKey"])
    kind = {"ApiId": id, "IntegrationType": "AWS_PROXY"}
    assert code(bob.create_integration, **kind, **given) == "AccessDeniedException"
    quick = {"Name": "q", "ProtocolType": "HTTP", "Target": FUNCTION, "CredentialsArn": role}
    assert code(bob.create_api, **quick) == "AccessDeniedException"


def test_bad_input_changes_nothing(world: World) -> None:
    id, role = world.make(), f"arn:aws:iam::{ACCOUNT}:role/r"
    parameters = {"QueueUrl": QUEUE, "MessageBody": "$request.body"}
    service = {"IntegrationSubtype": "SQS-SendMessage", "CredentialsArn": role, "RequestParameters": parameters}
    function = {"IntegrationUri": FUNCTION, "PayloadFormatVersion": "2.0"}
    for expected, given in (
        ("BadRequestException", {**service, "IntegrationSubtype": "SQS-Everything"}),
        ("NotImplementedException", {**service, "IntegrationSubtype": "StepFunctions-StartExecution"}),
        ("BadRequestException", {**service, "RequestParameters": {"QueueUrl": QUEUE}}),
        ("BadRequestException", {**service, "RequestParameters": {**parameters, "Other": "1"}}),
        ("BadRequestException", {**service, "RequestParameters": {**parameters, "MessageBody": "$request.nothing"}}),
        ("NotImplementedException", {**service, "RequestParameters": {**parameters, "Region": "eu-west-1"}}),
        ("BadRequestException", {**service, "PayloadFormatVersion": "2.0"}),
        ("BadRequestException", {**service, "IntegrationUri": FUNCTION}),
        ("BadRequestException", {k: v for k, v in service.items() if k != "CredentialsArn"}),
        ("BadRequestException", {**service, "CredentialsArn": "arn:aws:iam::1:user/u"}),
        ("NotImplementedException", {**service, "CredentialsArn": "arn:aws:iam::*:user/*"}),
        ("BadRequestException", {**function, "RequestParameters": {"append:header.host-x": "${x}"}}),
        ("BadRequestException", {**function, "RequestParameters": {"append:header.authorization": "1"}}),
        ("BadRequestException", {**function, "ResponseParameters": {"100": {"append:header.a": "1"}}}),
        ("BadRequestException", {**function, "ResponseParameters": {"200": {"append:querystring.a": "1"}}}),
    ):
        assert code(world.api.create_integration, ApiId=id, IntegrationType="AWS_PROXY", **given) == expected, given
    assert not world.api.get_integrations(ApiId=id)["Items"]
