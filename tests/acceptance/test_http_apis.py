"""An HTTP API as its users have it: a real function behind it, tokens of a real issuer, signed requests, an access log."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.issuing import OTHER, Issuer

from .conftest import Instance, eventually
from .lambda_world import ACCOUNT, REGION, World, document, need_runtime

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.timeout(600)]
WHO = """
def handler(event, context):
    return event["requestContext"]["authorizer"]
"""
LOG = "/apis/guarded"


@pytest.fixture(scope="module")
def world(shared: Instance) -> Iterator[World]:
    need_runtime()
    yield World(shared)


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    yield made
    made.close()


def _fetch(world: World, host: str, path: str, headers: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
    request = urllib.request.Request(f"{world.instance.endpoint}{path}", headers={**headers, "Host": host})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read()), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read()), {k.lower(): v for k, v in error.headers.items()}


def test_a_route_that_is_a_queue(world: World) -> None:
    """Without a function: by a role that may send to it, and nothing else."""
    url, arn = world.queue("orders")
    iam = world.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "apigateway.amazonaws.com"}, "Action": "sts:AssumeRole"}
    made = iam.create_role(RoleName="to-queue", AssumeRolePolicyDocument=document({"Statement": trust}))["Role"]["Arn"]
    allow = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": arn}
    iam.put_role_policy(RoleName="to-queue", PolicyName="p", PolicyDocument=document({"Statement": allow}))
    api = world.client("apigatewayv2")
    shop = api.create_api(Name="shop", ProtocolType="HTTP")
    id, host = shop["ApiId"], shop["ApiEndpoint"].split("/")[2]
    target = api.create_integration(
        ApiId=id,
        IntegrationType="AWS_PROXY",
        IntegrationSubtype="SQS-SendMessage",
        PayloadFormatVersion="1.0",
        CredentialsArn=made,
        RequestParameters={"QueueUrl": url, "MessageBody": "$request.body.order"},
    )["IntegrationId"]
    api.create_route(ApiId=id, RouteKey="POST /orders", Target=f"integrations/{target}")
    api.create_stage(ApiId=id, StageName="$default", AutoDeploy=True)
    body = json.dumps({"order": "seven"}).encode()
    request = urllib.request.Request(f"{world.instance.endpoint}/orders", body, {"Host": host}, method="POST")
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert b"<MessageId>" in answer.read()
    [message] = world.client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
    assert message["Body"] == "seven"


def test_tokens_signatures_and_a_log(world: World, issuer: Issuer) -> None:
    function = world.function("who", WHO)
    api = world.client("apigatewayv2")
    made = api.create_api(Name="guarded", ProtocolType="HTTP")
    id, host = made["ApiId"], made["ApiEndpoint"].split("/")[2]
    world.let("who", "apigateway.amazonaws.com", f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{id}/*")
    tokens = api.create_authorizer(
        ApiId=id,
        Name="tokens",
        AuthorizerType="JWT",
        IdentitySource=["$request.header.Authorization"],
        JwtConfiguration={"Issuer": issuer.url, "Audience": ["web"]},
    )["AuthorizerId"]
    target = api.create_integration(
        ApiId=id, IntegrationType="AWS_PROXY", IntegrationUri=function, PayloadFormatVersion="2.0"
    )["IntegrationId"]
    common = {"ApiId": id, "Target": f"integrations/{target}"}
    scopes = {"AuthorizationType": "JWT", "AuthorizerId": tokens, "AuthorizationScopes": ["read"]}
    api.create_route(RouteKey="GET /token", **common, **scopes)
    api.create_route(RouteKey="GET /signed", AuthorizationType="AWS_IAM", **common)
    world.client("logs").create_log_group(logGroupName=LOG)
    log = {
        "DestinationArn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{LOG}",
        "Format": "$context.requestId $context.routeKey $context.status $context.authorizer.claims.sub",
    }
    api.create_stage(ApiId=id, StageName="$default", AutoDeploy=True, AccessLogSettings=log)

    def bearer(token: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {token}"}

    status, told, _ = _fetch(world, host, "/token", bearer(issuer.token(scope="read write")))
    assert status == 200 and told["jwt"]["claims"]["sub"] == "ann" and told["jwt"]["scopes"] == ["read"]
    assert _fetch(world, host, "/token", bearer(issuer.token(scope="write")))[0] == 403
    status, _, headers = _fetch(world, host, "/token", bearer(issuer.token(OTHER, scope="read")))
    assert status == 401 and "invalid_token" in headers["www-authenticate"]
    assert _fetch(world, host, "/signed", {})[0] == 403
    env = world.instance.env
    request = AWSRequest("GET", f"http://{host}/signed", headers={"Host": host})
    who = Credentials(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"])
    SigV4Auth(who, "execute-api", REGION).add_auth(request)
    status, told, _ = _fetch(world, host, "/signed", dict(request.headers.items()))
    assert status == 200 and told["iam"]["accountId"] == ACCOUNT

    def lines() -> list[str]:
        found = world.client("logs").filter_log_events(logGroupName=LOG)["events"]
        return sorted(event["message"].partition(" ")[2] for event in found)

    expected = ["GET /signed 200 -", "GET /signed 403 -", "GET /token 200 ann", "GET /token 401 -", "GET /token 403 -"]
    eventually(lambda: lines() == expected)
