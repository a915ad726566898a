"""What is refused: by AWS's code, in words, and nothing has changed. What is not built names itself."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.services.elbv2.elb_harness import Harness

from havre.kernel.errors import ApiError
from havre.services.elbv2.operations import account, listeners, load_balancers, rules, target_groups, targets
from havre.services.elbv2.resources import KINDS


@pytest.fixture
async def h() -> Harness:
    harness = Harness()
    await harness.node()
    return harness


async def refused(h: Harness, operation: str, **request: Any) -> ApiError:
    """The error; everything is as it was before."""
    before = [list(h.store.list(kind)) for kind in KINDS]
    with pytest.raises(ApiError) as caught:
        await h.elb(operation, **request)
    assert [list(h.store.list(kind)) for kind in KINDS] == before
    return caught.value


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        ({"Name": "a" * 33}, "ValidationError", "cannot be longer than '32' characters"),
        ({"Name": "under_score"}, "ValidationError", "alphanumeric characters and hyphens"),
        ({"Name": "-web"}, "ValidationError", "cannot begin or end with '-'"),
        ({"Name": "internal-web"}, "ValidationError", "cannot begin with 'internal-'"),
        ({"Type": "network"}, "NotImplementedException", "load balancers of the type network"),
        ({"Type": "gateway"}, "NotImplementedException", "load balancers of the type gateway"),
        ({"Type": "classic"}, "ValidationError", "must be one of '[application, network, gateway]'"),
        ({"IpAddressType": "dualstack"}, "NotImplementedException", "the IP address type dualstack"),
        ({"Scheme": "public"}, "InvalidScheme", "must be one of"),
        ({"Subnets": []}, "ValidationError", "two different Availability Zones"),
        ({"Subnets": ["subnet-00000000000000000"] * 2}, "InvalidConfigurationRequest", "more than once"),
        ({"Subnets": ["subnet-0", "subnet-1"]}, "SubnetNotFound", "subnet-0"),
        ({"SecurityGroups": ["sg-00000000000000000"]}, "InvalidSecurityGroup", "sg-0"),
        ({"SecurityGroups": [f"sg-{n}" for n in range(6)]}, "InvalidConfigurationRequest", "at most 5"),
        ({"CustomerOwnedIpv4Pool": "p"}, "NotImplementedException", "CustomerOwnedIpv4Pool"),
    ],
)
async def test_load_balancers(h: Harness, more: dict[str, Any], code: str, words: str) -> None:
    _, subnets = await h.network()
    error = await refused(h, "CreateLoadBalancer", **{"Name": "web", "Subnets": subnets[:2], **more})
    assert error.code == code and words in error.message


async def test_one_subnet_is_not_enough(h: Harness) -> None:
    _, subnets = await h.network()
    assert (await refused(h, "CreateLoadBalancer", Name="web", Subnets=subnets[:1])).code == "ValidationError"


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        ({"Protocol": "TCP"}, "NotImplementedException", "network load balancers"),
        ({"Protocol": ""}, "NotImplementedException", "protocol"),
        ({"ProtocolVersion": "GRPC", "Matcher": {"HttpCode": "200"}}, "InvalidConfigurationRequest", "HttpCode"),
        ({"ProtocolVersion": "GRPC", "Matcher": {"GrpcCode": "100"}}, "ValidationError", "within '0-99'"),
        ({"ProtocolVersion": "HTTP3"}, "ValidationError", "must be one of"),
        ({"TargetType": "alb"}, "NotImplementedException", "of the type alb"),
        ({"TargetType": "alb"}, "NotImplementedException", "of the type alb"),
        ({"TargetType": "pod"}, "ValidationError", "must be one of"),
        ({"VpcId": "vpc-00000000000000000"}, "ValidationError", "is not found"),
        ({"Port": None}, "ValidationError", "A port must be specified"),
        ({"HealthCheckIntervalSeconds": 4}, "ValidationError", "interval '4' must be between '5' and '300'"),
        ({"HealthCheckTimeoutSeconds": 121}, "ValidationError", "timeout '121'"),
        ({"HealthCheckIntervalSeconds": 5}, "ValidationError", "timeout '5' must be smaller than the interval '5'"),
        ({"HealthyThresholdCount": 11}, "ValidationError", "healthy threshold count '11'"),
        ({"UnhealthyThresholdCount": 1}, "ValidationError", "unhealthy threshold count '1'"),
        ({"HealthCheckPath": "up"}, "ValidationError", "must begin with a '/'"),
        ({"HealthCheckPath": "/a\r\nX: y"}, "ValidationError", "must begin with a '/'"),
        ({"HealthCheckPort": "0"}, "ValidationError", "1-65535"),
        ({"HealthCheckProtocol": "TCP"}, "ValidationError", "must be one of '[HTTP, HTTPS]'"),
        ({"HealthCheckEnabled": False}, "InvalidConfigurationRequest", "must be true"),
        ({"Matcher": {"HttpCode": "200-"}}, "ValidationError", "within '200-499'"),
        ({"Matcher": {"HttpCode": "500"}}, "ValidationError", "within '200-499'"),
        ({"Matcher": {"GrpcCode": "0"}}, "InvalidConfigurationRequest", "GrpcCode"),
    ],
)
async def test_target_groups(h: Harness, more: dict[str, Any], code: str, words: str) -> None:
    vpc, _ = await h.network()
    wanted = {"Name": "tg", "Protocol": "HTTP", "Port": 80, "VpcId": vpc, "TargetType": "ip", **more}
    error = await refused(h, "CreateTargetGroup", **wanted)
    assert error.code == code and words in error.message


FIXED = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}
AS_IMAGE = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404", "ContentType": "image/png"}}


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        ({"Protocol": "HTTPS"}, "ValidationError", "A certificate must be specified"),
        ({"MutualAuthentication": {"Mode": "on"}}, "ValidationError", "must be one of"),
        ({"Protocol": "TCP"}, "ValidationError", "Listener protocol 'TCP' must be one of 'HTTP, HTTPS'"),
        ({"Protocol": None}, "ValidationError", "A listener protocol must be specified"),
        ({"Port": None}, "ValidationError", "A listener port must be specified"),
        ({"Certificates": [{"CertificateArn": "a"}]}, "ValidationError", "cannot be specified for HTTP"),
        ({"AlpnPolicy": ["None"]}, "NotImplementedException", "AlpnPolicy"),
        ({"DefaultActions": []}, "ValidationError", "at least one action"),
        ({"DefaultActions": [FIXED, FIXED]}, "TooManyActions", "number of actions"),
        ({"DefaultActions": [{"Type": "forward"}]}, "ValidationError", "target group ARN"),
        ({"DefaultActions": [AS_IMAGE]}, "InvalidLoadBalancerAction", "The ContentType must be one of:'text/plain', "),
        ({"DefaultActions": [{"Type": "authenticate-oidc"}]}, "NotImplementedException", "authenticate-oidc"),
        ({"DefaultActions": [{"Type": "authenticate-cognito"}]}, "NotImplementedException", "authenticate-cognito"),
        ({"DefaultActions": [{"Type": "jwt-validation"}]}, "NotImplementedException", "jwt-validation"),
        ({"DefaultActions": [{"Type": "reject"}]}, "ValidationError", "not a valid action type"),
    ],
)
async def test_listeners(h: Harness, more: dict[str, Any], code: str, words: str) -> None:
    arn = await h.balancer()
    wanted = {"LoadBalancerArn": arn, "Protocol": "HTTP", "Port": 80, "DefaultActions": [FIXED], **more}
    error = await refused(h, "CreateListener", **wanted)
    assert error.code == code and words in error.message


@pytest.mark.parametrize(
    ("operation", "more"),
    [
        ("DescribeLoadBalancerAttributes", {}),
        ("SetSecurityGroups", {"SecurityGroups": ["sg-1"]}),
        ("CreateListener", {"Protocol": "HTTP", "Port": 80, "DefaultActions": [FIXED]}),
        ("DescribeCapacityReservation", {}),
        ("ModifyCapacityReservation", {}),
    ],
)
async def test_unknown_load_balancers(h: Harness, operation: str, more: dict[str, Any]) -> None:
    arn = "arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/app/web/0123456789abcdef"
    for unknown in (arn, arn.replace("us-east-1", "eu-west-1"), arn.replace("000000000000", "111111111111")):
        assert (await refused(h, operation, LoadBalancerArn=unknown, **more)).code == "LoadBalancerNotFound"
    for bad in ("web", "arn:aws:ec2:us-east-1:000000000000:vpc/vpc-1", arn.replace("loadbalancer", "targetgroup")):
        assert (await refused(h, operation, LoadBalancerArn=bad, **more)).code == "ValidationError"


LONG = "x" * 129
HEADER = "HttpHeaderConfig"


@pytest.mark.parametrize(
    ("field", "more", "words"),
    [
        ("host-header", {"Values": [LONG]}, "The 'host-header' value is too long; the limit is '128'"),
        ("path-pattern", {"PathPatternConfig": {"Values": [LONG]}},
         "The 'path-pattern' value is too long; the limit is '128'"),
        ("path-pattern", {"Values": ["/a", "/b"]}, "The 'path-pattern' field contains too many values; the limit is '1'"),
        ("host-header", {}, "A condition value must be specified"),
        ("source-ip", {"SourceIpConfig": {"Values": []}}, "A 'source-ip' value must be specified"),
        ("source-ip", {"Values": ["10.0.0.0/8"]}, "A 'SourceIpConfig' must be specified with 'source-ip'"),
        ("http-request-method", {"HttpRequestMethodConfig": {"Values": ["get"]}},
         "The 'http-request-method' value is invalid; the allowed characters are A-Z, hyphen and underscore"),
        ("http-request-method", {"HttpRequestMethodConfig": {"Values": ["X" * 41]}},
         "The 'http-request-method' value is too long; the limit is '40'"),
        ("http-header", {HEADER: {"HttpHeaderName": "x" * 41, "Values": ["y"]}},
         "The 'HttpHeaderName' value is too long; the limit is '40'"),
        ("http-header", {HEADER: {"HttpHeaderName": "a b", "Values": ["y"]}}, "The HTTP header name 'a b' is not valid"),
        ("http-header", {HEADER: {"HttpHeaderName": "x", "Values": [LONG]}},
         "The 'http-header' value is too long; the limit is '128'"),
        ("query-string", {"QueryStringConfig": {"Values": [{"Key": LONG, "Value": "v"}]}},
         "The 'Key' value is too long; the limit is '128'"),
        ("query-string", {"QueryStringConfig": {"Values": [{"Value": LONG}]}},
         "The 'Value' value is too long; the limit is '128'"),
        ("query-string", {"QueryStringConfig": {"Values": [{"Key": "k"}]}},
         "A 'Value' must be specified in 'QueryStringKeyValuePair'"),
    ],
)  # fmt: skip
async def test_conditions(h: Harness, field: str, more: dict[str, Any], words: str) -> None:
    listener = await h.listener(await h.balancer(), await h.group())
    condition = {"Field": field, **more}
    error = await refused(h, "CreateRule", ListenerArn=listener, Priority=1, Conditions=[condition], Actions=[FIXED])
    assert (error.code, error.message) == ("ValidationError", words)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("source_ip", "Stickiness type 'source_ip' is not supported for target groups with the HTTP protocol"),
        ("moon", "'Stickiness type' must be one of [app_cookie, lb_cookie, source_ip]"),
    ],
)
async def test_ways_to_stick(h: Harness, kind: str, words: str) -> None:
    wanted = [{"Key": "stickiness.type", "Value": kind}]
    error = await refused(h, "ModifyTargetGroupAttributes", TargetGroupArn=await h.group(), Attributes=wanted)
    assert (error.code, error.message) == ("InvalidConfigurationRequest", words)


async def test_priorities_of_no_rule(h: Harness) -> None:
    assert (await refused(h, "SetRulePriorities", RulePriorities=[])).code == "ValidationError"


async def test_what_others_ask_of_every_load_balancer_is_answered(h: Harness) -> None:
    arn = await h.balancer()
    assert await h.elb("DescribeCapacityReservation", LoadBalancerArn=arn) == {"CapacityReservationState": []}
    await h.elb("ModifyCapacityReservation", LoadBalancerArn=arn, ResetCapacityReservation=True)
    units = {"CapacityUnits": 100}
    error = await refused(h, "ModifyCapacityReservation", LoadBalancerArn=arn, MinimumLoadBalancerCapacity=units)
    assert error.code == "NotImplementedException" and "capacity" in error.message
    assert (await refused(h, "ModifyCapacityReservation", LoadBalancerArn=arn)).code == "ValidationError"
    assert (await h.elb("DescribeTrustStores"))["TrustStores"] == []
    assert (await refused(h, "DescribeTrustStores", Names=["x"])).code == "TrustStoreNotFound"


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("idle_timeout.timeout_seconds", "0", "InvalidConfigurationRequest"),
        ("idle_timeout.timeout_seconds", "ten", "InvalidConfigurationRequest"),
        ("nonsense", "1", "ValidationError"),
        ("access_logs.s3.enabled", "true", "NotImplementedException"),
        ("health_check_logs.s3.enabled", "true", "NotImplementedException"),
        ("waf.fail_open.enabled", "true", "NotImplementedException"),
        ("routing.http.desync_mitigation_mode", "monitor", "NotImplementedException"),
    ],
)
async def test_attributes(h: Harness, key: str, value: str, code: str) -> None:
    arn = await h.balancer()
    good = {"Key": "routing.http2.enabled", "Value": "false"}
    wanted = [good, {"Key": key, "Value": value}]
    error = await refused(h, "ModifyLoadBalancerAttributes", LoadBalancerArn=arn, Attributes=wanted)
    assert error.code == code


async def test_what_nobody_looks_for_is_refused_by_name(h: Harness) -> None:
    group = await h.group()
    error = await refused(h, "DescribeTargetHealth", TargetGroupArn=group, Include=["AnomalyDetection"])
    assert error.code == "NotImplementedException" and "DescribeTargetHealth with Include" in error.message


async def test_policies_for_tls_are_those_of_application_load_balancers(h: Harness) -> None:
    assert len((await h.elb("DescribeSSLPolicies"))["SslPolicies"]) == 16
    assert (await h.elb("DescribeSSLPolicies", LoadBalancerType="network"))["SslPolicies"] == []
    assert (await refused(h, "DescribeSSLPolicies", Names=["x"])).code == "SSLPolicyNotFound"


# --- limits


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (load_balancers, target_groups, listeners, rules, targets):
        monkeypatch.setattr(module, "MOST", 2)


@pytest.mark.usefixtures("small")
async def test_limits_have_codes_of_their_own(h: Harness) -> None:
    arn, group = await h.balancer(), await h.group()
    await h.balancer("two")
    await h.group("two")
    _, subnets = await h.network()
    vpc, _ = await h.network()
    assert (await refused(h, "CreateLoadBalancer", Name="c", Subnets=subnets[:2])).code == "TooManyLoadBalancers"
    many = await refused(h, "CreateTargetGroup", Name="c", Protocol="HTTP", Port=80, VpcId=vpc)
    assert many.code == "TooManyTargetGroups"
    listener = await h.listener(arn, group)
    await h.listener(arn, group, 81)
    more = {"LoadBalancerArn": arn, "Protocol": "HTTP", "Port": 82, "DefaultActions": [FIXED]}
    assert (await refused(h, "CreateListener", **more)).code == "TooManyListeners"
    path = [{"Field": "path-pattern", "Values": ["/x"]}]
    wanted = {"ListenerArn": listener, "Conditions": path, "Actions": [FIXED]}
    for priority in (1, 2):
        await h.elb("CreateRule", Priority=priority, **wanted)
    assert (await refused(h, "CreateRule", Priority=2, **wanted)).code == "PriorityInUse"
    assert (await refused(h, "CreateRule", Priority=3, **wanted)).code == "TooManyRules"
    three = [{"Id": f"172.31.0.{n}"} for n in (20, 21, 22)]
    assert (await refused(h, "RegisterTargets", TargetGroupArn=group, Targets=three)).code == "TooManyTargets"


async def test_limits_are_told(h: Harness) -> None:
    told = {each["Name"]: each["Max"] for each in (await h.elb("DescribeAccountLimits"))["Limits"]}
    assert told == {name: str(most) for name, most in account.LIMITS.items()}


PRIORITIES = st.dictionaries(st.integers(0, 4), st.integers(1, 6), min_size=1, max_size=5)


@settings(max_examples=25, deadline=None)
@given(PRIORITIES)
async def test_priorities_are_changed_all_or_none(wanted: dict[int, int]) -> None:
    h = Harness()
    await h.node()
    listener = await h.listener(await h.balancer(), await h.group())
    path = [{"Field": "path-pattern", "Values": ["/x"]}]
    made = []
    for number in range(5):
        answer = await h.elb("CreateRule", ListenerArn=listener, Priority=number + 1, Conditions=path, Actions=[FIXED])
        made.append(answer["Rules"][0]["RuleArn"])
    after = {arn: number + 1 for number, arn in enumerate(made)} | {made[n]: p for n, p in wanted.items()}
    ranks = [{"RuleArn": made[n], "Priority": p} for n, p in wanted.items()]
    if len(set(after.values())) < len(after):
        assert (await refused(h, "SetRulePriorities", RulePriorities=ranks)).code == "PriorityInUse"
        return
    await h.elb("SetRulePriorities", RulePriorities=ranks)
    shown = (await h.elb("DescribeRules", ListenerArn=listener))["Rules"]
    assert [r["RuleArn"] for r in shown[:-1]] == sorted(after, key=after.__getitem__)
    assert shown[-1]["Priority"] == "default"
