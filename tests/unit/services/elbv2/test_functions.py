"""Target groups that are answered by a function."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.services.elbv2.elb_harness import ACCOUNT, Harness

from havre.kernel.errors import ApiError
from havre.services.elbv2.functions import FunctionTargets

FUNCTION = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:hello"


async def ask(harness: Harness, group: str, body: bytes = b"", **more: Any) -> tuple[int, dict[str, str], bytes]:
    """As the proxy asks: status, headers, body."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/a",
        "raw_path": b"/a%20b",
        "query_string": b"x=%201",
        "headers": [(b"x-havre-target-group", group.encode()), (b"x-forwarded-for", b"192.0.2.1"), (b"host", b"lb")],
        **more,
    }
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        sent.append(message)

    await FunctionTargets(harness.deps).asgi(scope, receive, send)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, sent[1]["body"]


async def make(harness: Harness) -> str:
    made = await harness.elb("CreateTargetGroup", Name="f", TargetType="lambda")
    group = made["TargetGroups"][0]
    assert group["TargetType"] == "lambda" and not group["HealthCheckEnabled"]
    assert all(group[member] is None for member in ("Protocol", "Port", "VpcId"))
    return str(group["TargetGroupArn"])


def answers(value: Any, **more: Any) -> Any:
    async def function(request: Any) -> Any:
        if request.get("InvocationType") == "DryRun":
            return {"StatusCode": 204}
        asked.append(json.loads(request["Payload"]))
        return {"StatusCode": 200, "Payload": json.dumps(value).encode(), **more}

    asked: list[Any] = []
    function.asked = asked  # type: ignore[attr-defined]
    return function


async def test_the_balancer_is_told_of_a_function_and_gets_its_answer() -> None:
    harness = Harness()
    await harness.node()
    balancer, group = await harness.balancer(), await make(harness)
    await harness.elb(
        "CreateListener",
        LoadBalancerArn=balancer,
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )
    await harness.settle()
    (pool,) = harness.told()[0].pools
    assert pool.function == group and pool.targets == ()
    assert (await ask(harness, group))[0] == 503, "nothing is registered"
    harness.function = answers({"statusCode": 201, "headers": {"X-A": "1"}, "body": "hi"})
    await harness.elb("RegisterTargets", TargetGroupArn=group, Targets=[{"Id": FUNCTION}])
    status, headers, body = await ask(harness, group, b"\x00")
    assert (status, headers["x-a"], body) == (201, "1", b"hi")
    event = harness.function.asked[0]
    assert event["requestContext"] == {"elb": {"targetGroupArn": group}} and event["path"] == "/a%20b"
    assert event["queryStringParameters"] == {"x": "%201"} and event["isBase64Encoded"]
    assert event["headers"] == {"x-forwarded-for": "192.0.2.1", "host": "lb"}
    (told,) = (await harness.elb("DescribeTargetHealth", TargetGroupArn=group))["TargetHealthDescriptions"]
    assert told["Target"] == {"Id": FUNCTION} and told["TargetHealth"]["Reason"] == "Target.HealthCheckDisabled"
    await harness.elb("DeregisterTargets", TargetGroupArn=group, Targets=[{"Id": FUNCTION}])
    assert (await ask(harness, group))[0] == 503


async def test_several_values_of_a_header() -> None:
    harness = Harness()
    group = await make(harness)
    harness.function = answers({"statusCode": 200, "multiValueHeaders": {"X-A": ["1", "2"]}})
    await harness.elb("RegisterTargets", TargetGroupArn=group, Targets=[{"Id": FUNCTION}])
    attribute = {"Key": "lambda.multi_value_headers.enabled", "Value": "true"}
    shown = await harness.elb("ModifyTargetGroupAttributes", TargetGroupArn=group, Attributes=[attribute])
    assert shown["Attributes"] == [attribute]
    assert (await ask(harness, group))[1]["x-a"] in ("1", "2")
    assert harness.function.asked[0]["multiValueHeaders"]["host"] == ["lb"]
    harness.function = answers({"statusCode": 200, "headers": {"X-A": "1"}})
    assert "x-a" not in (await ask(harness, group))[1]


async def test_what_goes_wrong() -> None:
    harness = Harness()
    group = await make(harness)
    harness.function = answers({"statusCode": 200})
    await harness.elb("RegisterTargets", TargetGroupArn=group, Targets=[{"Id": FUNCTION}])
    assert (await ask(harness, group, b"x" * (2 << 20)))[0] == 413
    assert (await ask(harness, "arn:nothing"))[0] == 503
    for function, status in (
        (answers({"no": "status"}), 502),
        (answers({"errorMessage": "x"}, FunctionError="Unhandled"), 502),
        (answers({"statusCode": 200, "body": "x" * (2 << 20)}), 502),
    ):
        harness.function = function
        told = await ask(harness, group)
        assert told[0] == status and told[1]["server"] == "awselb/2.0"

    async def refused(request: Any) -> Any:
        raise ApiError("AccessDeniedException", "not authorized", 403)

    harness.function = refused
    assert (await ask(harness, group))[0] == 502


@pytest.mark.parametrize(
    ("targets", "refusal", "code"),
    [
        ([{"Id": "10.0.0.1"}], "", "ValidationError"),
        ([{"Id": FUNCTION, "Port": 80}], "", "ValidationError"),
        ([{"Id": FUNCTION}, {"Id": FUNCTION + "2"}], "", "TooManyTargets"),
        ([{"Id": FUNCTION}], "ResourceNotFoundException", "InvalidTarget"),
        ([{"Id": FUNCTION}], "AccessDeniedException", "AccessDenied"),
        ([{"Id": FUNCTION}], "InvalidParameterValueException", "InvalidTarget"),
    ],
)
async def test_functions_that_cannot_be_registered(targets: Any, refusal: str, code: str) -> None:
    harness = Harness()
    group = await make(harness)

    async def function(request: Any) -> Any:
        if refusal:
            raise ApiError(refusal, "for this reason")
        return {}

    harness.function = function
    with pytest.raises(ApiError) as told:
        await harness.elb("RegisterTargets", TargetGroupArn=group, Targets=targets)
    assert told.value.code == code
    assert ("for this reason" in told.value.message) == (refusal == "InvalidParameterValueException")
    assert not (await harness.elb("DescribeTargetHealth", TargetGroupArn=group))["TargetHealthDescriptions"]


@pytest.mark.parametrize("more", [{"Port": 80}, {"Protocol": "HTTP"}, {"VpcId": "vpc-1"}])
async def test_functions_are_nowhere(more: Any) -> None:
    with pytest.raises(ApiError, match="cannot be specified"):
        await Harness().elb("CreateTargetGroup", Name="f", TargetType="lambda", **more)
