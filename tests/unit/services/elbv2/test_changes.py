"""Load balancers, listeners and target groups that change: what is shown, and what a node is told."""

from __future__ import annotations

import pytest
from tests.unit.services.elbv2.elb_harness import Harness

from havre.kernel.errors import ApiError

FIXED = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}


@pytest.fixture
async def h() -> Harness:
    harness = Harness()
    await harness.node()
    return harness


async def code(h: Harness, operation: str, **request: object) -> str:
    with pytest.raises(ApiError) as caught:
        await h.elb(operation, **request)
    return caught.value.code


async def test_a_listener_moves_to_another_port_and_action(h: Harness) -> None:
    arn, group = await h.balancer(), await h.group()
    listener, other = await h.listener(arn, group), await h.listener(arn, group, 81)
    assert await code(h, "ModifyListener", ListenerArn=listener, Port=81) == "DuplicateListener"
    assert await code(h, "ModifyListener", ListenerArn=listener, Protocol="HTTPS") == "ValidationError"
    changed = await h.elb("ModifyListener", ListenerArn=listener, Port=8080, DefaultActions=[FIXED])
    assert [(each["Port"], each["DefaultActions"][0]["Type"]) for each in changed["Listeners"]] == [
        (8080, "fixed-response")
    ]
    await h.settle()
    (told,) = h.told()
    assert {each.port: each.rules[-1].action.kind for each in told.listeners} == {8080: "fixed-response", 81: "forward"}
    await h.elb("ModifyListener", ListenerArn=other, DefaultActions=[FIXED])
    await h.elb("DeleteTargetGroup", TargetGroupArn=group)


async def test_a_deleted_listener_takes_its_rules_along(h: Harness) -> None:
    arn, group = await h.balancer(), await h.group()
    listener = await h.listener(arn, group)
    path = [{"Field": "path-pattern", "Values": ["/x"]}]
    made = await h.elb("CreateRule", ListenerArn=listener, Priority=1, Conditions=path, Actions=[FIXED])
    await h.elb("DeleteListener", ListenerArn=listener)
    assert await code(h, "DescribeRules", RuleArns=[made["Rules"][0]["RuleArn"]]) == "RuleNotFound"
    assert await code(h, "DeleteListener", ListenerArn=listener) == "ListenerNotFound"
    await h.settle()
    assert h.told()[0].listeners == () and h.told()[0].pools == ()
    await h.elb("DeleteTargetGroup", TargetGroupArn=group)


async def test_a_health_check_changes_as_a_whole_or_not_at_all(h: Harness) -> None:
    arn, group = await h.balancer(), await h.group()
    await h.listener(arn, group)
    changes = {
        "HealthCheckPath": "/up",
        "HealthCheckIntervalSeconds": 10,
        "HealthyThresholdCount": 3,
        "Matcher": {"HttpCode": "200-204"},
        "HealthCheckPort": "9000",
    }
    (shown,) = (await h.elb("ModifyTargetGroup", TargetGroupArn=group, **changes))["TargetGroups"]
    assert {key: shown[key] for key in changes} == changes and shown["UnhealthyThresholdCount"] == 2
    await h.settle()
    check = h.told()[0].pools[0].health_check
    assert (check.path, check.interval, check.healthy, check.matcher, check.port) == ("/up", 10, 3, "200-204", 9000)
    bad = {"HealthCheckPath": "/other", "HealthCheckTimeoutSeconds": 10}
    assert await code(h, "ModifyTargetGroup", TargetGroupArn=group, **bad) == "ValidationError"
    (after,) = (await h.elb("DescribeTargetGroups", TargetGroupArns=[group]))["TargetGroups"]
    assert after == shown


async def test_attributes_are_shown_with_their_defaults(h: Harness) -> None:
    group = await h.group()
    shown = (await h.elb("DescribeTargetGroupAttributes", TargetGroupArn=group))["Attributes"]
    by_key = {each["Key"]: each["Value"] for each in shown}
    assert by_key["deregistration_delay.timeout_seconds"] == "300" and by_key["stickiness.enabled"] == "false"
    app = [{"Key": "stickiness.enabled", "Value": "true"}, {"Key": "stickiness.type", "Value": "app_cookie"}]
    refused = await code(h, "ModifyTargetGroupAttributes", TargetGroupArn=group, Attributes=app)
    assert refused == "InvalidConfigurationRequest"
    named = [*app, {"Key": "stickiness.app_cookie.cookie_name", "Value": "session"}]
    await h.elb("ModifyTargetGroupAttributes", TargetGroupArn=group, Attributes=named)
    taken = [{"Key": "stickiness.app_cookie.cookie_name", "Value": "AWSALB"}]
    assert await code(h, "ModifyTargetGroupAttributes", TargetGroupArn=group, Attributes=taken) == refused


async def test_a_listeners_attributes_and_certificates(h: Harness) -> None:
    listener = await h.listener(await h.balancer(), await h.group())
    shown = (await h.elb("DescribeListenerAttributes", ListenerArn=listener))["Attributes"]
    assert {"Key": "routing.http.response.server.enabled", "Value": "true"} in shown and len(shown) == 11
    same = await h.elb("ModifyListenerAttributes", ListenerArn=listener, Attributes=shown)
    assert same["Attributes"] == shown
    strict = "routing.http.response.strict_transport_security.header_value"
    for key, value, code_ in (
        ("routing.http.request.x_amzn_tls_version.header_name", "X-Version", "NotImplementedException"),
        ("routing.http.response.x_frame_options.header_value", "ANY", "InvalidConfigurationRequest"),
        (strict, "a\nb", "InvalidConfigurationRequest"),
        ("routing.http.response.nothing.header_value", "x", "ValidationError"),
    ):
        change = [{"Key": key, "Value": value}]
        assert await code(h, "ModifyListenerAttributes", ListenerArn=listener, Attributes=change) == code_
    changes = [{"Key": strict, "Value": "max-age=1"}, {"Key": "routing.http.response.server.enabled", "Value": "false"}]
    changed = await h.elb("ModifyListenerAttributes", ListenerArn=listener, Attributes=changes)
    assert changes[0] in changed["Attributes"] and changes[1] in changed["Attributes"]
    await h.settle()
    ((told,),) = [balancer.listeners for balancer in h.told()]
    assert told.headers == (("Strict-Transport-Security", "max-age=1"),) and told.nameless
    await h.elb("ModifyListener", ListenerArn=listener, Port=8080)
    kept = await h.elb("DescribeListenerAttributes", ListenerArn=listener)
    assert changes[0] in kept["Attributes"]
    assert (await h.elb("DescribeListenerCertificates", ListenerArn=listener))["Certificates"] == []


async def test_addresses_stay_ipv4(h: Harness) -> None:
    arn = await h.balancer()
    assert await h.elb("SetIpAddressType", LoadBalancerArn=arn, IpAddressType="ipv4") == {"IpAddressType": "ipv4"}
    assert (
        await code(h, "SetIpAddressType", LoadBalancerArn=arn, IpAddressType="dualstack") == "NotImplementedException"
    )
