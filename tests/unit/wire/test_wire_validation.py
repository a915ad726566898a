"""What a service's front answers to bad input: code and words."""

from __future__ import annotations

import pytest

from havre.kernel.errors import ApiError
from havre.wire import codec
from havre.wire.http import HttpRequest
from havre.wire.models import ModelSource
from havre.wire.routing import Router

_MODELS = ModelSource(None)
_DETECTED = "1 validation error detected: "


def _refused(service: str, operation: str, body: str, path: str = "/", method: str = "POST") -> tuple[str, str]:
    model = _MODELS.service(service)
    headers = {}
    if model.protocol == "json":
        headers["x-amz-target"] = f"{model.target_prefix}.{operation}"
    elif model.protocol in ("query", "ec2"):
        headers["content-type"] = "application/x-www-form-urlencoded"
        body = f"Action={operation}&Version={model.api_version}&{body}"
    request = HttpRequest(method, path, "", headers, body.encode())
    route = Router(_MODELS, [service]).route(request, None)
    assert route.operation == operation
    with pytest.raises(ApiError) as refused:
        codec.parse(model, route, request)
    return refused.value.code, refused.value.message


_INVALID = "InvalidParameterException"
_SERIAL = "SerializationException"
_ECR_NAME = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*"


def _coral(value: str, at: str, must: str) -> str:
    return f"1 validation error detected: Value {value} at '{at}' failed to satisfy constraint: Member must {must}"


_JSON = [
    ("ecs", "DescribeServices", "{}", _INVALID, _coral("null", "services", "not be null")),
    (
        "ecs",
        "RegisterTaskDefinition",
        '{"containerDefinitions":[]}',
        "ClientException",
        _coral("null", "family", "not be null"),
    ),
    (
        *("ecs", "ListTasks", '{"desiredStatus":"ON"}', _INVALID),
        _coral("'ON'", "desiredStatus", "satisfy enum value set: [RUNNING, PENDING, STOPPED]"),
    ),
    (
        *("ecs", "CreateService", '{"serviceName":"s","tags":[{"key":""}]}', _INVALID),
        _coral("''", "tags.1.member.key", "have length greater than or equal to 1"),
    ),
    (
        *("logs", "GetLogEvents", '{"logGroupName":"g","logStreamName":"s","limit":0}', _INVALID),
        _coral("'0'", "limit", "have value greater than or equal to 1"),
    ),
    (
        *("logs", "DescribeLogStreams", '{"logGroupIdentifier":"g:*"}', _INVALID),
        _coral("'g:*'", "logGroupIdentifier", r"satisfy regular expression pattern: [\w#+=/:,.@-]*").replace(
            " 'g:*'", ""
        ),
    ),
    (
        *("ecr", "CreateRepository", '{"repositoryName":"UPPER"}', _INVALID),
        "Invalid parameter at 'repositoryName' failed to satisfy constraint: "
        f"'must satisfy regular expression '{_ECR_NAME}''",
    ),
    (
        "sqs",
        "SendMessage",
        '{"QueueUrl":"u"}',
        "MissingParameter",
        "The request must contain the parameter MessageBody.",
    ),
    ("secretsmanager", "GetSecretValue", "{}", "ValidationException", _coral("null", "secretId", "not be null")),
    ("ecs", "DescribeServices", '{"services":"a"}', _SERIAL, "Expected list or null"),
    ("ecs", "DescribeServices", '{"services":[1]}', _SERIAL, "NUMBER_VALUE can not be converted to a String"),
    ("ecs", "DescribeServices", "[]", _SERIAL, "Start of list found where not expected"),
    (
        *("ecs", "UpdateService", '{"service":"s","desiredCount":"3"}', _SERIAL),
        "STRING_VALUE can not be converted to an Integer",
    ),
    (
        *("ecs", "UpdateService", '{"service":"s","desiredCount":3000000000}', _SERIAL),
        "NUMBER_VALUE can not be converted to an Integer: out of range",
    ),
    ("ecs", "UpdateService", '{"service":{}}', _SERIAL, "Start of structure or map found where not expected."),
]
_FORMS = [
    (
        *("iam", "CreateRole", "RoleName=a%20b&AssumeRolePolicyDocument=x", "ValidationError"),
        _coral("'a b'", "roleName", r"satisfy regular expression pattern: [\w+=,.@-]+").replace("Value 'a b'", "Value"),
    ),
    (
        *("iam", "ListRoles", "MaxItems=abc", "MalformedInput"),
        "Invalid value for MaxItems: 'abc' is not an integer within range",
    ),
    (
        *("elbv2", "CreateTargetGroup", "Name=t&TargetType=moon", "ValidationError"),
        _coral("'moon'", "targetType", "satisfy enum value set: [instance, ip, lambda, alb]"),
    ),
    (
        *("sts", "AssumeRole", "RoleArn=arn:aws:iam::000000000000:role/r", "ValidationError"),
        _coral("null", "roleSessionName", "not be null"),
    ),
    (
        *("ec2", "CreateSubnet", "CidrBlock=10.0.0.0/24", "MissingParameter"),
        "The request must contain the parameter VpcId",
    ),
    (
        *("ec2", "CreateSubnet", "CidrBlock=10.0.0.0/24&VpcId=&AvailabilityZoneId=", "MissingParameter"),
        "The request must contain the parameter VpcId",
    ),
    (
        *("ec2", "DescribeVpcs", "MaxResults=1", "InvalidParameterValue"),
        "Value ( 1 ) for parameter MaxResults is invalid. Expecting a value greater than or equal to 5.",
    ),
]


@pytest.mark.parametrize("case", _JSON + _FORMS, ids=lambda case: f"{case[0]}-{case[1]}")
def test_codes_and_words(case: tuple[str, str, str, str, str]) -> None:
    service, operation, body, code, message = case
    assert _refused(service, operation, body) == (code, message)


def test_a_parameter_of_ec2_without_a_value_is_none() -> None:
    body = b"Action=CreateSubnet&Version=2016-11-15&VpcId=vpc-1&AvailabilityZoneId=&CidrBlock=10.0.0.0%2F24"
    request = HttpRequest("POST", "/", "", {"content-type": "application/x-www-form-urlencoded"}, body)
    route = Router(_MODELS, ["ec2"]).route(request, None)
    assert codec.parse(_MODELS.service("ec2"), route, request) == {"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/24"}


def test_several_faults_are_told_together() -> None:
    code, message = _refused("iam", "CreateRole", "RoleName=")
    assert code == "ValidationError"
    assert message.startswith("3 validation errors detected: ")
    assert message.count("; ") == 2


def test_secrets_are_not_echoed() -> None:
    _, message = _refused("iam", "CreateLoginProfile", "UserName=u&Password=" + "s3cret" * 100)
    assert "s3cret" not in message
    assert message.startswith(_DETECTED + "Value at 'password' failed")


def test_lists_tell_all_constraints_of_their_items() -> None:
    _, message = _refused("ecs", "DescribeClusters", '{"include":["TAGS","NONE"]}')
    assert message.startswith(
        _DETECTED + "Value '[TAGS, NONE]' at 'include' failed to satisfy constraint: Member must satisfy"
    )
    assert "Member must satisfy constraint: [Member must satisfy enum value set: [" in message


@pytest.mark.parametrize(
    ("operation", "path", "body", "told"),
    [
        (
            "CreateFunctionUrlConfig",
            "/2021-10-31/functions/f/url",
            '{"AuthType":"NONE","Cors":{"AllowMethods":["GET","OPTIONS"]}}',
            "Value '[GET, OPTIONS]' at 'cors.allowMethods' failed to satisfy constraint: Member must satisfy constraint: "
            "[Member must have length less than or equal to 6, Member must have length greater than or equal to 0, "
            "Member must satisfy regular expression pattern: .*, Member must not be null]",
        ),
        (
            "CreateAlias",
            "/2015-03-31/functions/f/aliases",
            '{"Name":"n","FunctionVersion":"1","RoutingConfig":{"AdditionalVersionWeights":{"2":1.5}}}',
            "Value '{2=1.5}' at 'routingConfig.additionalVersionWeights' failed to satisfy constraint: Map value must "
            "satisfy constraint: [Member must have value less than or equal to 1.0, Member must have value greater than or "
            "equal to 0.0, Member must not be null]",
        ),
    ],
)
def test_lambda_tells_of_parts_what_always_holds_as_well(operation: str, path: str, body: str, told: str) -> None:
    assert _refused("lambda", operation, body, path) == ("ValidationException", _DETECTED + told)


def test_lambda_tells_a_body_that_is_no_json() -> None:
    code, message = _refused("lambda", "CreateFunction", "{", "/2015-03-31/functions")
    assert code == "InvalidRequestContentException"
    assert message.startswith("Could not parse request body into json: ")


def test_nulls_are_absent() -> None:
    model = _MODELS.service("ecs")
    request = HttpRequest(
        "POST",
        "/",
        "",
        {"x-amz-target": f"{model.target_prefix}.DescribeClusters"},
        b'{"clusters":null,"include":["TAGS"]}',
    )
    assert codec.parse(model, Router(_MODELS, ["ecs"]).route(request, None), request) == {"include": ["TAGS"]}
