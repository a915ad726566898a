"""HTTP APIs by boto3 and by plain HTTP, in front of functions that the test plays."""

from __future__ import annotations

import http.server
import json
import threading
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.running_gateway import ACCOUNT, code
from tests.unit.services.apigatewayv2.http_world import FUNCTION, POLICY, World

from havre.kernel.errors import ApiError
from havre.services.apigatewayv2.serving.buckets import Buckets
from havre.services.apigatewayv2.serving.functions import judge


def test_an_api_with_a_target_answers_at_once(world: World) -> None:
    made = world.api.create_api(Name="quick", ProtocolType="HTTP", Target=FUNCTION)
    assert made["ApiEndpoint"].startswith(f"http://{made['ApiId']}.execute-api.us-east-1.localhost:")
    status, body, headers = world.ask(made["ApiId"], "/a/b?x=1", cookie="k=v")
    assert (status, body) == (200, "hello") and headers["apigw-requestid"]
    event = world.events[0]
    assert event["headers"]["x-forwarded-for"] == "127.0.0.1" and event["headers"]["content-length"] == "0"
    assert event["headers"]["x-amzn-trace-id"].startswith("Root=1-")
    assert event["rawPath"] == "/a/b" and event["cookies"] == ["k=v"] and event["routeKey"] == "$default"
    assert event["requestContext"]["accountId"] == ACCOUNT and event["requestContext"]["stage"] == "$default"
    routes = world.api.get_routes(ApiId=made["ApiId"])["Items"]
    assert routes[0]["ApiGatewayManaged"] and world.api.get_stages(ApiId=made["ApiId"])["Items"][0]["AutoDeploy"]
    world.api.delete_api(ApiId=made["ApiId"])
    assert world.ask(made["ApiId"])[:2] == (403, '{"message":"Forbidden"}')


def test_a_stage_serves_its_deployment(world: World) -> None:
    id = world.make()
    world.integrate(id, "GET /one")
    assert world.ask(id, "/one")[0] == 404
    first = world.api.create_deployment(ApiId=id)["DeploymentId"]
    world.api.create_stage(ApiId=id, StageName="dev", DeploymentId=first, StageVariables={"v": "1"})
    assert world.ask(id, "/dev/one")[0] == 200
    assert world.events[-1]["rawPath"] == "/dev/one" and world.events[-1]["stageVariables"] == {"v": "1"}
    world.integrate(id, "GET /two/{x}")
    assert world.ask(id, "/dev/two/3")[0] == 404
    world.api.create_deployment(ApiId=id, StageName="dev")
    assert world.ask(id, "/dev/two/3")[0] == 200 and world.events[-1]["pathParameters"] == {"x": "3"}
    assert code(world.api.delete_deployment, ApiId=id, DeploymentId=first) == "no error"
    held = world.api.get_stage(ApiId=id, StageName="dev")["DeploymentId"]
    assert code(world.api.delete_deployment, ApiId=id, DeploymentId=held) == "BadRequestException"
    world.api.create_stage(ApiId=id, StageName="$default", AutoDeploy=True)
    world.integrate(id, "POST /three")
    assert world.ask(id, "/three", "POST")[0] == 200 and world.ask(id, "/dev/three", "POST")[0] == 404


def test_what_goes_wrong(world: World) -> None:
    id = world.make(Target=FUNCTION)
    for answer, status in (
        ("failed", 500),
        ({"statusCode": "many"}, 500),
        (ApiError("ResourceNotFoundException", "no such function"), 500),
        (ApiError("TooManyRequestsException", "Rate Exceeded.", 429), 503),
        ({"any": "json"}, 200),
    ):
        world.answers[FUNCTION] = lambda event, answer=answer: answer
        assert world.ask(id)[0] == status
    world.policy = None
    assert world.ask(id)[:2] == (500, '{"message":"Internal Server Error"}')
    assert world.ask(id, method="POST", body=b"x" * (11 << 20))[0] == 413


def test_format_1_wants_a_status(world: World) -> None:
    id = world.make()
    world.api.create_stage(ApiId=id, StageName="$default", AutoDeploy=True)
    world.integrate(id, "ANY /{proxy+}", version="1.0")
    assert world.ask(id, "/a/b", "PUT", b"\x00\xff")[0] == 200
    event = world.events[-1]
    assert (event["version"], event["resource"], event["isBase64Encoded"]) == ("1.0", "/{proxy+}", True)
    world.answers[FUNCTION] = lambda event: {"any": "json"}
    assert world.ask(id, "/a/b")[0] == 500


def test_cors(world: World) -> None:
    cors = {"AllowOrigins": ["https://a.example"], "AllowMethods": ["GET"], "AllowHeaders": ["x-a"], "MaxAge": 60}
    id = world.make(Target=FUNCTION, CorsConfiguration=cors)
    status, _, headers = world.ask(
        id, method="OPTIONS", origin="https://a.example", Access_Control_Request_Method="GET"
    )
    assert status == 204 and headers["access-control-allow-origin"] == "https://a.example"
    assert headers["access-control-allow-methods"] == "GET" and headers["access-control-max-age"] == "60"
    other = world.ask(id, method="OPTIONS", origin="https://b.example", Access_Control_Request_Method="GET")
    assert other[0] == 204 and "access-control-allow-origin" not in other[2]
    assert not world.events
    assert world.ask(id, origin="https://a.example")[2]["access-control-allow-origin"] == "https://a.example"
    world.api.delete_cors_configuration(ApiId=id)
    assert "access-control-allow-origin" not in world.ask(id, origin="https://a.example")[2]


def test_a_function_says_who_may(world: World) -> None:
    guard = FUNCTION.replace("hello", "guard")
    world.answers[guard] = lambda event: {
        "isAuthorized": event["identitySource"] == ["good"],
        "context": {"user": "ann"},
    }
    id = world.make()
    world.api.create_stage(ApiId=id, StageName="$default", AutoDeploy=True)
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{guard}/invocations"
    authorizer = world.api.create_authorizer(
        ApiId=id,
        Name="guard",
        AuthorizerType="REQUEST",
        AuthorizerUri=uri,
        AuthorizerPayloadFormatVersion="2.0",
        EnableSimpleResponses=True,
        IdentitySource=["$request.header.Authorization"],
    )["AuthorizerId"]
    world.integrate(id, "GET /secret", AuthorizationType="CUSTOM", AuthorizerId=authorizer)
    assert world.ask(id, "/secret")[:2] == (401, '{"message":"Unauthorized"}')
    assert world.ask(id, "/secret", authorization="bad")[:2] == (403, '{"message":"Forbidden"}')
    assert world.ask(id, "/secret", authorization="good")[0] == 200
    assert world.events[-1]["requestContext"]["authorizer"] == {"lambda": {"user": "ann"}}
    asked = len(world.events)
    world.ask(id, "/secret", authorization="good")
    assert len(world.events) == asked + 1, "the authorizer's word is remembered"
    assert code(world.api.delete_authorizer, ApiId=id, AuthorizerId=authorizer) == "ConflictException"


def test_an_authorizer_is_asked_for_its_own_sake_or_by_a_role(world: World) -> None:
    guard = FUNCTION.replace("hello", "guard")
    world.answers[guard] = lambda event: {"isAuthorized": True}
    id = world.make()
    world.api.create_stage(ApiId=id, StageName="$default", AutoDeploy=True)
    given = {
        "AuthorizerType": "REQUEST",
        "AuthorizerUri": f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{guard}/invocations",
        "AuthorizerPayloadFormatVersion": "2.0",
        "EnableSimpleResponses": True,
        "IdentitySource": [],
    }
    own = world.api.create_authorizer(ApiId=id, Name="own", **given)["AuthorizerId"]
    role = world.role("lambda:InvokeFunction")
    by_role = world.api.create_authorizer(ApiId=id, Name="role", AuthorizerCredentialsArn=role, **given)["AuthorizerId"]
    for key, authorizer in (("GET /own", own), ("GET /role", by_role)):
        world.integrate(id, key, AuthorizationType="CUSTOM", AuthorizerId=authorizer)
    source = f"arn:aws:execute-api:us-east-1:{ACCOUNT}:{id}"
    statement = dict(POLICY["Statement"])
    statement["Condition"] = {"ArnLike": {"AWS:SourceArn": [f"{source}/authorizers/{own}", f"{source}/*/GET/*"]}}
    world.policy = {**POLICY, "Statement": statement}
    assert world.ask(id, "/own")[0] == 200 and world.ask(id, "/role")[0] == 200
    statement["Condition"] = {"ArnLike": {"AWS:SourceArn": f"{source}/*/GET/*"}}
    world.policy = {**POLICY, "Statement": statement, "Id": "second"}
    assert world.ask(id, "/own")[0] == 500 and world.ask(id, "/role")[0] == 200


def test_an_authorizers_policy_decides_route_by_route() -> None:
    document = {
        "Version": "2012-10-17",
        "Statement": [
            {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": "arn:aws:execute-api:*:*:*/*/GET/*"}
        ],
    }
    payload = json.dumps({"principalId": "ann", "policyDocument": document, "context": {"k": 1}}).encode()
    assert judge(payload, False, "arn:aws:execute-api:r:1:api/s/GET/a").context == {"k": 1, "principalId": "ann"}
    assert judge(payload, False, "arn:aws:execute-api:r:1:api/s/POST/a").status == 403
    for wrong in (b"", b"[]", b'{"isAuthorized": "yes"}', b'{"policyDocument": {"Statement": 1}}'):
        assert judge(wrong, False, "arn").status == judge(wrong, True, "arn").status == 500


def test_another_server_answers(world: World) -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            told = json.dumps({"path": self.path, "body": body.decode(), "mine": self.headers["x-mine"]}).encode()
            self.send_response(201)
            self.send_header("x-theirs", "1")
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    id = world.make()
    world.api.create_stage(ApiId=id, StageName="$default", AutoDeploy=True)
    made = world.api.create_integration(
        ApiId=id,
        IntegrationType="HTTP_PROXY",
        IntegrationMethod="ANY",
        IntegrationUri=f"http://127.0.0.1:{server.server_address[1]}/base/{{proxy}}",
        PayloadFormatVersion="1.0",
    )
    world.api.create_route(ApiId=id, RouteKey="ANY /x/{proxy+}", Target=f"integrations/{made['IntegrationId']}")
    status, body, headers = world.ask(id, "/x/a/b?q=1", "POST", b"hi", x_mine="2")
    assert (status, headers["x-theirs"]) == (201, "1")
    assert json.loads(body) == {"path": "/base/a/b?q=1", "body": "hi", "mine": "2"}
    server.shutdown()
    server.server_close()
    assert world.ask(id, "/x/a", "POST", b"hi")[0] == 503


def test_routes_are_throttled(world: World) -> None:
    id = world.make(Target=FUNCTION)
    settings = {"ThrottlingBurstLimit": 2, "ThrottlingRateLimit": 0.001}
    world.api.update_stage(ApiId=id, StageName="$default", DefaultRouteSettings=settings)
    assert [world.ask(id)[0] for _ in range(3)] == [200, 200, 429]
    now = [0.0]
    buckets = Buckets(lambda: now[0])
    assert [buckets.take("a", (2, 1)) for _ in range(3)] == [True, True, False]
    now[0] = 1.5
    assert [buckets.take("a", (2, 1)) for _ in range(2)] == [True, False]


def test_bad_input_changes_nothing(world: World) -> None:
    api, id = world.api, world.make()
    integration = {
        "ApiId": id,
        "IntegrationType": "AWS_PROXY",
        "IntegrationUri": FUNCTION,
        "PayloadFormatVersion": "2.0",
    }
    world.integrate(id, "GET /a")
    for expected, call, arguments in (
        ("NotFoundException", api.get_api, {"ApiId": "nothere"}),
        ("NotFoundException", api.get_route, {"ApiId": id, "RouteId": "no"}),
        ("NotImplementedException", api.create_api, {"Name": "w", "ProtocolType": "WEBSOCKET"}),
        ("BadRequestException", api.create_route, {"ApiId": id, "RouteKey": "get /"}),
        ("ConflictException", api.create_route, {"ApiId": id, "RouteKey": "GET /a"}),
        ("NotFoundException", api.create_route, {"ApiId": id, "RouteKey": "GET /b", "Target": "integrations/no"}),
        ("BadRequestException", api.create_route, {"ApiId": id, "RouteKey": "GET /b", "AuthorizationType": "JWT"}),
        ("BadRequestException", api.create_integration, {**integration, "IntegrationUri": "arn:aws:sqs:x"}),
        ("BadRequestException", api.create_integration, {**integration, "PayloadFormatVersion": "3.0"}),
        ("BadRequestException", api.create_integration, {**integration, "ConnectionType": "VPC_LINK"}),
        ("BadRequestException", api.create_stage, {"ApiId": id, "StageName": "a b"}),
        ("NotFoundException", api.create_stage, {"ApiId": id, "StageName": "a", "DeploymentId": "no"}),
        ("NotImplementedException", api.get_models, {"ApiId": id}),
        (
            "BadRequestException",
            api.export_api,
            {"ApiId": id, "OutputType": "JSON", "Specification": "OAS30", "ExportVersion": "2.0"},
        ),
    ):
        assert code(call, **arguments) == expected, (call, arguments)
    assert len(api.get_routes(ApiId=id)["Items"]) == 1 and not api.get_stages(ApiId=id)["Items"]
    used = api.get_routes(ApiId=id)["Items"][0]["Target"].partition("/")[2]
    assert code(api.delete_integration, ApiId=id, IntegrationId=used) == "ConflictException"


def test_what_is_said_of_bad_input(world: World) -> None:
    api, id = world.api, world.make()
    kept = world.integrate(id, "GET /a/{b}")
    used = api.get_routes(ApiId=id)["Items"][0]["Target"].partition("/")[2]
    valid = "Invalid authorizer ID specified. Setting the authorization type to"
    for call, arguments, words in (
        (api.get_api, {"ApiId": "none"}, f"Invalid API identifier specified {ACCOUNT}:none"),
        (api.create_route, {"RouteKey": "GET /a/{b}"}, "Route with key GET /a/{b} already exists for this API"),
        (
            api.create_route,
            {"RouteKey": "GET /a/{c}"},
            'The provided route key "GET /a/{c}" has a conflicting variable on the same hierarchical level as "GET /a/{b}"',
        ),
        (api.create_route, {"RouteKey": "GET /a/{c}d"}, "One or more path parts appear to be invalid"),
        (
            api.create_route,
            {"RouteKey": "GET /b", "AuthorizationType": "JWT"},
            f"{valid} JWT requires a valid JWT authorizer.",
        ),
        (
            api.create_route,
            {"RouteKey": "GET /b", "AuthorizationType": "CUSTOM"},
            f"{valid} CUSTOM or COGNITO_USER_POOLS requires a valid authorizer.",
        ),
        (
            api.create_integration,
            {"IntegrationType": "MOCK"},
            "Currently, an API with a protocol type of HTTP may only be associated with proxy integrations (AWS_PROXY, "
            "HTTP_PROXY)",
        ),
        (
            api.create_stage,
            {"StageName": "s", "DefaultRouteSettings": {"LoggingLevel": "INFO"}},
            "Execution logs are not supported on protocolType HTTP",
        ),
        (
            api.delete_integration,
            {"IntegrationId": used},
            f"Cannot delete Integration because it is referenced by the following Routes with Ids: [{kept}]",
        ),
    ):
        with pytest.raises(ClientError) as refused:
            call(**{"ApiId": id, **arguments})
        assert refused.value.response["Error"]["Message"] == words


def test_what_nobody_said_is_shown_all_the_same(world: World) -> None:
    api, id = world.api, world.make(CorsConfiguration={"AllowOrigins": ["https://a.b"]})
    cors = {"AllowCredentials": False, "AllowOrigins": ["https://a.b"]}
    assert api.get_api(ApiId=id)["CorsConfiguration"] == cors
    plain = api.create_stage(ApiId=id, StageName="plain")
    assert plain["DefaultRouteSettings"] == {"DetailedMetricsEnabled": False}
    assert plain["RouteSettings"] == plain["StageVariables"] == plain["Tags"] == {}
    limited = api.update_stage(ApiId=id, StageName="plain", DefaultRouteSettings={"ThrottlingBurstLimit": 5})
    assert limited["DefaultRouteSettings"] == {"DetailedMetricsEnabled": False, "ThrottlingBurstLimit": 5}


def test_lists_pages_and_tags(world: World) -> None:
    for n in range(5):
        world.api.create_api(Name=f"n{n}", ProtocolType="HTTP", Tags={"n": str(n)})
    first = world.api.get_apis(MaxResults="3")
    rest = world.api.get_apis(MaxResults="3", NextToken=first["NextToken"])
    assert len(first["Items"]) == 3 and len(rest["Items"]) == 2 and "NextToken" not in rest
    assert code(world.api.get_apis, NextToken="forged") == "BadRequestException"
    id = first["Items"][0]["ApiId"]
    arn = f"arn:aws:apigateway:us-east-1::/apis/{id}"
    world.api.tag_resource(ResourceArn=arn, Tags={"more": "1"})
    world.api.untag_resource(ResourceArn=arn, TagKeys=["n"])
    assert world.api.get_tags(ResourceArn=arn)["Tags"] == {"more": "1"}
    changed = world.api.update_api(ApiId=id, Name="renamed")
    assert changed["Name"] == "renamed" and world.api.get_api(ApiId=id)["Name"] == "renamed"


@pytest.mark.parametrize(
    ("operation", "arguments", "words"),
    [
        (
            "create_api",
            {"Name": "a"},
            "Value null at 'protocolType' failed to satisfy constraint: Member must not be null",
        ),
        (
            "create_api",
            {"Name": "a", "ProtocolType": "GOPHER"},
            "Value 'GOPHER' at 'protocolType' failed to satisfy constraint: "
            "Member must satisfy enum value set: [WEBSOCKET, HTTP]",
        ),
        (
            "create_integration",
            {"ApiId": "none", "IntegrationType": "HTTP_PROXY", "TimeoutInMillis": 1},
            "Value '1' at 'timeoutInMillis' failed to satisfy constraint: "
            "Member must have value greater than or equal to 50",
        ),
    ],
)
def test_what_breaks_the_model_is_a_bad_request(
    world: World, operation: str, arguments: dict[str, Any], words: str
) -> None:
    api = world.running.client("apigatewayv2", parameter_validation=False)
    with pytest.raises(ClientError) as refused:
        getattr(api, operation)(**arguments)
    error: Any = refused.value.response["Error"]
    assert (error["Code"], error["Message"]) == ("BadRequestException", f"1 validation error detected: {words}")
