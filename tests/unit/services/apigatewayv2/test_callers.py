"""Routes that IAM decides on, and the lines that access logs have of requests."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st
from tests.running_gateway import ACCOUNT, OTHER_ROOT, code
from tests.unit.services.apigatewayv2.http_world import FUNCTION, World

from havre.kernel.errors import ApiError
from havre.services.apigatewayv2.serving.story import line

LOG = "/apis/web"


def _user(world: World, resource: str) -> Credentials:
    iam = world.running.client("iam")
    iam.create_user(UserName="ann")
    statement = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": resource}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="ann", PolicyName="p", PolicyDocument=document)
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    return Credentials(key["AccessKeyId"], key["SecretAccessKey"])


def _signed(world: World, id: str, who: Credentials, path: str = "/me", service: str = "execute-api") -> Any:
    host = f"{id}.execute-api.us-east-1.localhost:{world.running.port}"
    request = AWSRequest("GET", f"http://{host}{path}", headers={"Host": host})
    SigV4Auth(who, service, "us-east-1").add_auth(request)
    connection = http.client.HTTPConnection("127.0.0.1", world.running.port, timeout=30)
    connection.request("GET", path, headers=dict(request.headers.items()))
    answer = connection.getresponse()
    told = answer.read().decode()
    connection.close()
    return answer.status, told


def _guarded(world: World, version: str = "2.0") -> str:
    id = world.make()
    world.api.create_stage(ApiId=id, StageName="$default", AutoDeploy=True)
    world.integrate(id, "GET /me", version=version, AuthorizationType="AWS_IAM")
    world.integrate(id, "GET /other", version=version, AuthorizationType="AWS_IAM")
    return id


def test_policies_say_who_may(world: World) -> None:
    id = _guarded(world)
    ann = _user(world, f"arn:aws:execute-api:us-east-1:{ACCOUNT}:{id}/$default/GET/me")
    forbidden = (403, '{"message":"Forbidden"}')
    assert _signed(world, id, ann)[0] == 200
    caller = world.events[0]["requestContext"]["authorizer"]["iam"]
    assert caller["userArn"] == f"arn:aws:iam::{ACCOUNT}:user/ann" and caller["accountId"] == ACCOUNT
    assert caller["accessKey"] == ann.access_key and caller["userId"].startswith("AIDA")
    assert _signed(world, id, ann, "/other") == forbidden, "no policy allows that route"
    assert _signed(world, id, ann, service="lambda") == forbidden, "signed for something else"
    assert _signed(world, id, Credentials(ann.access_key, "wrong")) == forbidden
    assert _signed(world, id, Credentials(OTHER_ROOT.access_key, OTHER_ROOT.secret)) == forbidden
    assert world.ask(id, "/me")[:2] == forbidden, "not signed at all"
    assert len(world.events) == 1


def test_format_1_tells_the_caller_as_identity(world: World) -> None:
    id = _guarded(world, "1.0")
    ann = _user(world, "*")
    assert _signed(world, id, ann)[0] == 200
    context = world.events[0]["requestContext"]
    assert context["identity"]["userArn"] == f"arn:aws:iam::{ACCOUNT}:user/ann"
    assert context["identity"]["accessKey"] == ann.access_key and context["authorizer"]["claims"] is None


def _log(world: World, id: str, format: str) -> None:
    logs = world.running.client("logs")
    if code(logs.create_log_group, logGroupName=LOG) not in ("no error", "ResourceAlreadyExistsException"):
        raise AssertionError
    arn = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:{LOG}"
    settings = {"DestinationArn": arn, "Format": format}
    world.api.update_stage(ApiId=id, StageName="$default", AccessLogSettings=settings)


def _lines(world: World, count: int) -> list[str]:
    """Once there are so many; the test's time-out is the only limit."""
    logs = world.running.client("logs")
    while True:
        found = logs.filter_log_events(logGroupName=LOG)["events"]
        if len(found) >= count:
            return [event["message"] for event in sorted(found, key=lambda event: event["timestamp"])]
        time.sleep(0.05)


def test_requests_are_logged(world: World) -> None:
    id = world.make(Target=FUNCTION)
    names = "requestId httpMethod path routeKey stage status integrationStatus integration.status error.message nothing"
    _log(world, id, json.dumps({name: f"$context.{name}" for name in names.split()}))
    first = world.ask(id, "/a/b?q=1")
    world.answers[FUNCTION] = lambda event: {"statusCode": 404, "body": "no"}
    world.ask(id, "/a", "POST", b"x")
    world.answers[FUNCTION] = lambda event: ApiError("TooManyRequestsException", "Rate Exceeded.", 429)
    world.ask(id)
    one, two, three = (json.loads(text) for text in _lines(world, 3))
    assert one["requestId"] == first[2]["apigw-requestid"] and one["nothing"] == one["error.message"] == "-"
    assert (one["httpMethod"], one["path"], one["routeKey"], one["stage"]) == ("GET", "/a/b", "$default", "$default")
    assert (one["status"], one["integrationStatus"], one["integration.status"]) == ("200", "200", "200")
    assert (two["httpMethod"], two["status"], two["integration.status"]) == ("POST", "404", "404")
    assert (three["status"], three["error.message"]) == ("503", "Service Unavailable")
    streams = world.running.client("logs").describe_log_streams(logGroupName=LOG)["logStreams"]
    assert [stream["logStreamName"] for stream in streams] == [f"{id}/$default"]


def test_refusals_and_callers_are_logged(world: World) -> None:
    id = _guarded(world)
    ann = _user(world, f"arn:aws:execute-api:us-east-1:{ACCOUNT}:{id}/*/GET/me")
    _log(world, id, "$context.requestId|$context.status|$context.identity.userArn|$context.authorizer.error\n")
    _signed(world, id, ann)
    _signed(world, id, ann, "/other")
    world.ask(id, "/nowhere")
    told = [text.split("|")[1:] for text in _lines(world, 3)]
    assert told[0] == ["200", f"arn:aws:iam::{ACCOUNT}:user/ann", "-"]
    assert told[1][:2] == ["403", "-"] and "not authorized to perform: execute-api:Invoke" in told[1][2]
    assert told[2] == ["404", "-", "-"]


def test_a_log_needs_a_group_a_format_and_leave(world: World) -> None:
    id, api = world.make(Target=FUNCTION), world.api
    world.running.client("logs").create_log_group(logGroupName=LOG)
    arn, format = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:{LOG}", "$context.requestId"
    good = {"DestinationArn": arn, "Format": format}
    for bad in (
        {**good, "DestinationArn": f"{arn}:*"},
        {**good, "DestinationArn": f"{arn}-none"},
        {**good, "DestinationArn": arn.replace("us-east-1", "eu-west-1")},
        {**good, "DestinationArn": arn.replace(ACCOUNT, "444455556666")},
        {**good, "Format": "$context.status"},
        {**good, "Format": f"{format}\n{format}"},
        {"DestinationArn": arn},
    ):
        given = {"ApiId": id, "StageName": "$default", "AccessLogSettings": bad}
        assert code(api.update_stage, **given) == "BadRequestException", bad
        assert code(api.create_stage, **{**given, "StageName": "dev"}) == "BadRequestException", bad
    assert "AccessLogSettings" not in api.get_stage(ApiId=id, StageName="$default")
    limited = world.running.client("iam")
    limited.create_user(UserName="bob")
    allowed = {"Effect": "Allow", "Action": "apigateway:*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    limited.put_user_policy(UserName="bob", PolicyName="p", PolicyDocument=document)
    key = limited.create_access_key(UserName="bob")["AccessKey"]
    bob = world.running.client("apigatewayv2", key)
    wanted = {"ApiId": id, "StageName": "$default", "AccessLogSettings": good}
    assert code(bob.update_stage, **wanted) == "BadRequestException"
    api.update_stage(**wanted)
    assert api.get_stage(ApiId=id, StageName="$default")["AccessLogSettings"] == good
    api.delete_access_log_settings(ApiId=id, StageName="$default")
    assert "AccessLogSettings" not in api.get_stage(ApiId=id, StageName="$default")


@given(st.text(max_size=60), st.dictionaries(st.sampled_from(["a", "b.c"]), st.none() | st.integers() | st.text()))
def test_lines_are_lines(format: str, values: dict[str, Any]) -> None:
    told = line(f"$context.a {format.replace(chr(10), ' ').replace(chr(13), ' ')}$context.b.c", values)
    assert "\n" not in told and "\r" not in told and "$context.b.c" not in line("$context.b.c", {})
