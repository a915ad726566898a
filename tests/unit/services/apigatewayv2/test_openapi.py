"""APIs from OpenAPI documents and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.running_gateway import code
from tests.unit.services.apigatewayv2.http_world import FUNCTION, World

from havre.kernel.errors import ApiError
from havre.services.apigatewayv2.openapi import reading, texts, writing

URI = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{FUNCTION}/invocations"
GUARD = URI.replace("hello", "guard")
DOCUMENT = f"""
openapi: "3.0.1"
info: {{title: pets, version: 2, description: of all kinds}}
tags: [{{name: team, x-amazon-apigateway-tag-value: blue}}, {{name: plain}}]
servers: [{{url: "https://api.example/shop"}}]
x-amazon-apigateway-cors: {{allowOrigins: ["https://a.example"], maxAge: 60}}
paths:
  /pets/{{id}}:
    get:
      operationId: one
      security: [{{guard: []}}]
      responses: {{default: {{description: a pet}}}}
      x-amazon-apigateway-integration: {{$ref: "#/components/x-amazon-apigateway-integrations/shared"}}
    delete:
      security: [{{signed: []}}]
      x-amazon-apigateway-integration: {{$ref: "#/components/x-amazon-apigateway-integrations/shared"}}
  /open/{{proxy+}}:
    x-amazon-apigateway-any-method:
      x-amazon-apigateway-integration:
        type: http_proxy
        httpMethod: ANY
        uri: https://other.example/{{proxy}}
        payloadFormatVersion: 1.0
        timeoutInMillis: 1000
        requestParameters: {{"append:header.x": "$context.requestId"}}
        responseParameters: {{200: {{"overwrite:statuscode": "201"}}}}
  /$default:
    x-amazon-apigateway-any-method:
      isDefaultRoute: true
      x-amazon-apigateway-integration: {{$ref: "#/components/x-amazon-apigateway-integrations/shared"}}
components:
  securitySchemes:
    guard:
      type: apiKey
      name: Authorization
      in: header
      x-amazon-apigateway-authorizer:
        type: request
        identitySource: $request.header.Authorization, $request.querystring.k
        authorizerUri: {GUARD}
        authorizerPayloadFormatVersion: "2.0"
        enableSimpleResponses: true
    signed: {{type: apiKey, name: Authorization, in: header, x-amazon-apigateway-authtype: awsSigv4}}
  x-amazon-apigateway-integrations:
    shared: {{type: aws_proxy, httpMethod: POST, uri: "{URI}", payloadFormatVersion: "2.0"}}
"""


def _routes(world: World, id: str) -> dict[str, Any]:
    return {route["RouteKey"]: route for route in world.api.get_routes(ApiId=id)["Items"]}


def test_a_document_becomes_an_api(world: World) -> None:
    made = world.api.import_api(Body=DOCUMENT, FailOnWarnings=True)
    id = made["ApiId"]
    assert (made["Name"], made["Version"], made["Description"]) == ("pets", "2", "of all kinds")
    assert made["Tags"] == {"team": "blue"} and made["CorsConfiguration"]["MaxAge"] == 60
    routes = _routes(world, id)
    assert set(routes) == {"GET /pets/{id}", "DELETE /pets/{id}", "ANY /open/{proxy+}", "$default"}
    assert routes["DELETE /pets/{id}"]["AuthorizationType"] == "AWS_IAM"
    assert routes["GET /pets/{id}"]["OperationName"] == "one"
    assert routes["GET /pets/{id}"]["Target"] == routes["$default"]["Target"], "what is referred to is there once"
    [authorizer] = world.api.get_authorizers(ApiId=id)["Items"]
    assert authorizer["IdentitySource"] == ["$request.header.Authorization", "$request.querystring.k"]
    integrations = world.api.get_integrations(ApiId=id)["Items"]
    [proxied] = [each for each in integrations if each["IntegrationType"] == "HTTP_PROXY"]
    assert proxied["TimeoutInMillis"] == 1000 and proxied["ResponseParameters"] == {
        "200": {"overwrite:statuscode": "201"}
    }
    world.api.create_stage(ApiId=id, StageName="$default", AutoDeploy=True)
    assert world.ask(id, "/any/thing")[:2] == (200, "hello")
    world.answers[FUNCTION.replace("hello", "guard")] = lambda event: {"isAuthorized": True}
    assert world.ask(id, "/pets/7?k=1", authorization="me")[0] == 200
    assert world.events[-1]["pathParameters"] == {"id": "7"} and world.ask(id, "/pets/7")[0] == 401


@pytest.mark.parametrize("kind", ["JSON", "YAML"])
def test_an_api_comes_back_as_it_was(world: World, kind: str) -> None:
    first = world.api.import_api(Body=DOCUMENT)["ApiId"]
    body = world.api.export_api(ApiId=first, Specification="OAS30", OutputType=kind)["body"].read().decode()
    second = world.api.import_api(Body=body, FailOnWarnings=True)["ApiId"]
    exported = [
        json.loads(world.api.export_api(ApiId=id, Specification="OAS30", OutputType="JSON")["body"].read())
        for id in (first, second)
    ]
    assert exported[0] == exported[1]
    assert len(_routes(world, second)) == 4
    bare = world.api.export_api(ApiId=first, Specification="OAS30", OutputType="JSON", IncludeExtensions=False)
    assert "x-amazon-apigateway-integration" not in bare["body"].read().decode()


def test_a_stage_is_exported_as_it_is_deployed(world: World) -> None:
    id = world.make()
    world.integrate(id, "GET /one")
    world.api.create_deployment(ApiId=id)
    world.api.create_stage(ApiId=id, StageName="dev")
    export = {"ApiId": id, "Specification": "OAS30", "OutputType": "JSON"}
    assert code(world.api.export_api, **export, StageName="dev") == "BadRequestException"
    world.api.create_deployment(ApiId=id, StageName="dev")
    world.integrate(id, "GET /two")
    deployed = json.loads(world.api.export_api(**export, StageName="dev")["body"].read())
    assert set(deployed["paths"]) == {"/one"}
    assert set(json.loads(world.api.export_api(**export)["body"].read())["paths"]) == {"/one", "/two"}


def test_an_api_is_imported_anew(world: World) -> None:
    id = world.make(Tags={"a": "1"})
    world.api.create_stage(ApiId=id, StageName="$default", AutoDeploy=True)
    world.integrate(id, "GET /old")
    document = {"openapi": "3.0.1", "info": {"title": "new", "version": "1"}, "paths": {"/bare": {"get": {}}}}
    body = json.dumps(document)
    assert code(world.api.reimport_api, ApiId=id, Body=body, FailOnWarnings=True) == "BadRequestException"
    assert world.ask(id, "/old")[0] == 200
    told = world.api.reimport_api(ApiId=id, Body=body)
    assert told["Name"] == "new" and "no integration" in told["Warnings"][0] and told["Tags"] == {"a": "1"}
    assert set(_routes(world, id)) == {"GET /bare"} and world.ask(id, "/old")[0] == 404
    assert not world.api.get_integrations(ApiId=id)["Items"]


def test_base_paths() -> None:
    document = texts.parse(DOCUMENT)
    keys = {route["RouteKey"] for route in reading.read(document, "prepend").routes}
    assert keys == {"GET /shop/pets/{id}", "DELETE /shop/pets/{id}", "ANY /shop/open/{proxy+}", "$default"}
    with pytest.raises(ApiError, match="split"):
        reading.read(document, "split")


INTEGRATION = {"type": "aws_proxy", "uri": URI, "payloadFormatVersion": "2.0"}


def _with(integration: Any = INTEGRATION, **more: Any) -> str:
    paths = {"/": {"get": {"x-amazon-apigateway-integration": integration}}}
    return json.dumps({"openapi": "3.0.1", "info": {"title": "t"}, "paths": paths, **more})


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[1]",
        "a: [",
        "a: &x [1]\nb: *x",
        "[" * 50_000,
        "- " * 2_000 + "1",
        '{"swagger": "2.0"}',
        '{"openapi": "3.0.1"}',
        '{"openapi": "3.0.1", "info": {"title": "t"}, "paths": [1]}',
        _with({**INTEGRATION, "uri": "arn:aws:sqs:x"}),
        _with({**INTEGRATION, "type": "mock"}),
        _with({**INTEGRATION, "timeoutInMillis": "soon"}),
        _with({**INTEGRATION, "timeoutInMillis": 60_000}),
        _with({**INTEGRATION, "requestParameters": {"append:header.a": 1}}),
        _with({"$ref": "#/components/x-amazon-apigateway-integrations/none"}),
        _with({"$ref": 7}),
        _with(**{"x-amazon-apigateway-cors": {"allowOrigins": "*"}}),
        _with(**{"security": [{"none": []}]}),
        _with(**{"security": [{"s": []}], "components": {"securitySchemes": {"s": {
            "x-amazon-apigateway-authorizer": {"type": "token"}}}}}),
        _with(**{"paths": {"/a b": {"get": {}}}}),
    ],
)  # fmt: skip
def test_bad_documents_make_nothing(world: World, body: str) -> None:
    assert code(world.api.import_api, Body=body) == "BadRequestException"
    assert not world.api.get_apis()["Items"]


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(ANY, ANY, ANY, ANY)
def test_whatever_a_document_says_is_read_or_refused(integration: Any, security: Any, scheme: Any, cors: Any) -> None:
    operation = {"x-amazon-apigateway-integration": integration, "security": security}
    document = {
        "openapi": "3.0.1",
        "info": {"title": "t"},
        "paths": {"/": {"get": operation}, "/a": {"get": {"security": [{"s": security}]}}},
        "components": {"securitySchemes": {"s": {"x-amazon-apigateway-authorizer": scheme}}},
        "x-amazon-apigateway-cors": cors,
    }
    try:
        wanted = reading.read(document)
    except ApiError:
        return
    assert len(wanted.routes) == 2


def test_what_is_written_can_be_read() -> None:
    wanted = reading.read(texts.parse(DOCUMENT))
    parts = {"routes": dict(enumerate(wanted.routes)), "integrations": {}, "authorizers": {}}
    written = writing.write(wanted.api, wanted.tags, parts, True)
    assert texts.parse(texts.write(written, "YAML").decode()) == texts.parse(texts.write(written, "JSON").decode())
