"""What is refused before it is routed is told in the words and the shape of the service that was meant."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from havre.gateway import limits
from havre.gateway.faults import unknown_key
from havre.gateway.refusals import refusal
from havre.gateway.sigv4 import Denied
from havre.wire.http import HttpRequest
from havre.wire.models import ModelSource

FORM, JSON = {"content-type": "application/x-www-form-urlencoded"}, {"content-type": "application/x-amz-json-1.1"}
SERVICES = ("ec2", "ecs", "iam", "lambda", "s3", "sqs", "sts", "cloudwatch")
EC2 = "<Response><Errors><Error><Code>AuthFailure</Code>"


@pytest.fixture(scope="module")
def models() -> ModelSource:
    return ModelSource(None)


def scope(service: str) -> dict[str, str]:
    return {"authorization": f"AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/{service}/aws4_request, Signature=0"}


@pytest.mark.parametrize(
    ("service", "headers", "status", "found"),
    [
        ("ec2", FORM, 401, EC2),
        ("ecs", JSON, 400, '"__type":"UnrecognizedClientException"'),
        (
            "iam",
            FORM,
            403,
            '<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type>',
        ),
        ("lambda", JSON, 403, '{"message":"The security token included in the request is invalid."'),
        ("s3", {}, 403, "<Error><Code>InvalidAccessKeyId</Code>"),
        ("sqs", JSON, 400, 'UnrecognizedClientException"'),
        ("sqs", FORM, 403, "<Code>InvalidClientTokenId</Code>"),
        ("nosuch", JSON, 400, '"__type":"UnrecognizedClientException"'),
        ("nosuch", FORM, 403, "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidClientTokenId</Code>"),
    ],
)
def test_a_key_that_nobody_has(
    models: ModelSource, service: str, headers: Mapping[str, str], status: int, found: str
) -> None:
    request = HttpRequest("POST", "/", "", {**headers, **scope(service)})
    response = refusal(models, SERVICES, request, unknown_key(), "id")
    assert isinstance(response.body, bytes)
    assert (response.status, found in response.body.decode()) == (status, True), response.body


def test_half_a_presigned_url(models: ModelSource) -> None:
    for service, code, status in (
        ("s3", "AuthorizationQueryParametersError", 400),
        ("sts", "IncompleteSignature", 400),
        ("ec2", "IncompleteSignature", 400),
    ):
        query = f"Action=X&X-Amz-Credential=AKIA%2F20260101%2Fus-east-1%2F{service}%2Faws4_request"
        response = refusal(models, SERVICES, HttpRequest("GET", "/", query, {}), Denied("incomplete_url", "no"), "id")
        assert isinstance(response.body, bytes)
        assert response.status == status and f"<Code>{code}</Code><Message>no</Message>".encode() in response.body


def test_too_much_for_nobody_in_particular(models: ModelSource) -> None:
    response = refusal(models, SERVICES, HttpRequest("POST", "/", "", JSON), limits.too_large(5), "id")
    assert isinstance(response.body, bytes)
    assert (response.status, json.loads(response.body)["__type"]) == (413, "RequestEntityTooLargeException")
    cbor = HttpRequest("POST", "/", "", {"content-type": "application/cbor", **scope("monitoring")})
    response = refusal(models, SERVICES, cbor, limits.too_large(5), "id")
    assert dict(response.headers)["Content-Type"] == "application/cbor"
