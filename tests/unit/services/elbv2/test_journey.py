"""A load balancer from its creation to its end, as clients and nodes see it."""

from __future__ import annotations

import pytest
from tests.unit.services.elbv2.elb_harness import Harness

from havre.kernel.balancer import TargetHealth
from havre.kernel.errors import ApiError


@pytest.fixture
async def h() -> Harness:
    harness = Harness()
    await harness.node()
    return harness


async def test_is_provisioning_until_a_node_answers_for_it(h: Harness) -> None:
    _, subnets = await h.network()
    made = (await h.elb("CreateLoadBalancer", Name="web", Subnets=subnets[:2]))["LoadBalancers"][0]
    assert made["State"] == {"Code": "provisioning"}
    assert made["LoadBalancerArn"].startswith(
        "arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/app/web/"
    )
    assert made["DNSName"].startswith("web-") and made["DNSName"].endswith(".us-east-1.elb.localhost")
    assert made["CanonicalHostedZoneId"] == "Z35SXDOTRQ7X7K" and made["Scheme"] == "internet-facing"
    await h.settle()
    (told,) = h.told()
    assert told.dns_name == made["DNSName"] and len(told.addresses) == 2 and told.host_address.startswith("127.")
    await h.report()
    (seen,) = (await h.elb("DescribeLoadBalancers"))["LoadBalancers"]
    assert seen["State"] == {"Code": "active"} and len(seen["AvailabilityZones"]) == 2
    await h.report(state="active_impaired", reason="10.0.0.1:80: permission denied")
    (seen,) = (await h.elb("DescribeLoadBalancers", Names=["web"]))["LoadBalancers"]
    assert seen["State"] == {"Code": "active_impaired", "Reason": "10.0.0.1:80: permission denied"}


async def test_asking_twice_for_the_same_gives_the_same_and_for_another_is_refused(h: Harness) -> None:
    arn = await h.balancer()
    assert await h.balancer() == arn
    with pytest.raises(ApiError) as caught:
        await h.balancer(Scheme="internal")
    assert caught.value.code == "DuplicateLoadBalancerName"


async def test_a_deleted_one_is_gone_at_once_and_its_interfaces_after(h: Harness) -> None:
    arn = await h.balancer()
    group = await h.group()
    listener = await h.listener(arn, group)
    described = await h.ec2("DescribeNetworkInterfaces")
    assert len(described["NetworkInterfaces"]) == 2
    await h.elb("DeleteLoadBalancer", LoadBalancerArn=arn)
    assert (await h.elb("DescribeLoadBalancers"))["LoadBalancers"] == []
    with pytest.raises(ApiError) as caught:
        await h.elb("DescribeListeners", ListenerArns=[listener])
    assert caught.value.code == "ListenerNotFound"
    await h.settle()
    assert h.told() == [] and (await h.ec2("DescribeNetworkInterfaces"))["NetworkInterfaces"] == []
    await h.elb("DeleteLoadBalancer", LoadBalancerArn=arn)
    await h.elb("DeleteTargetGroup", TargetGroupArn=group)
    assert await h.balancer() != arn


async def test_deletion_protection_is_enforced(h: Harness) -> None:
    arn = await h.balancer()
    on = [{"Key": "deletion_protection.enabled", "Value": "true"}]
    await h.elb("ModifyLoadBalancerAttributes", LoadBalancerArn=arn, Attributes=on)
    with pytest.raises(ApiError) as caught:
        await h.elb("DeleteLoadBalancer", LoadBalancerArn=arn)
    assert caught.value.code == "OperationNotPermitted" and "deletion protection is enabled" in caught.value.message


async def test_a_target_is_registered_checked_drained_and_gone(h: Harness) -> None:
    arn, group = await h.balancer(), await h.group()
    vpc, _ = await h.network()
    targets = [{"Id": "172.31.0.20", "Port": 8080}]
    assert await h.runner.explain(group) == ["It has no targets: who asks gets 503."]
    assert "it has no listener: nothing answers" in await h.runner.explain(arn)
    await h.elb("RegisterTargets", TargetGroupArn=group, Targets=targets)
    assert (await h.health(group))["172.31.0.20:8080"]["Reason"] == "Target.NotInUse"
    await h.listener(arn, group)
    assert any(line.endswith(":80 has 1 rules") for line in await h.runner.explain(arn))
    assert (await h.health(group))["172.31.0.20:8080"] == {
        "State": "initial",
        "Reason": "Elb.RegistrationInProgress",
        "Description": "Target registration is in progress",
    }
    (pool,) = h.told()[0].pools
    assert [(t.id, t.address, t.port, t.vpc) for t in pool.targets] == [("172.31.0.20:8080", "172.31.0.20", 8080, vpc)]
    ill = TargetHealth(pool.id, "172.31.0.20:8080", "unhealthy", "Target.Timeout", "Request timed out")
    await h.report(ill)
    assert await h.runner.explain(group) == ["172.31.0.20:8080 is unhealthy: Request timed out (Target.Timeout)"]
    await h.report(TargetHealth(pool.id, "172.31.0.20:8080", "healthy"))
    assert (await h.health(group))["172.31.0.20:8080"] == {"State": "healthy"}

    await h.elb("DeregisterTargets", TargetGroupArn=group, Targets=[{"Id": "172.31.0.20"}])
    await h.settle()
    assert (await h.health(group))["172.31.0.20:8080"]["Reason"] == "Target.DeregistrationInProgress"
    assert h.told()[0].pools[0].targets[0].draining
    h.now += 299
    await h.settle()
    assert len(await h.health(group)) == 1
    h.now += 2
    await h.settle()
    assert await h.health(group) == {} and h.told()[0].pools[0].targets == ()
    assert (await h.health(group, Targets=targets))["172.31.0.20:8080"]["Reason"] == "Target.NotRegistered"


async def test_a_draining_target_that_is_registered_again_stays(h: Harness) -> None:
    arn, group = await h.balancer(), await h.group()
    await h.listener(arn, group)
    targets = [{"Id": "172.31.0.20", "Port": 80}]
    await h.elb("RegisterTargets", TargetGroupArn=group, Targets=targets)
    await h.elb("DeregisterTargets", TargetGroupArn=group, Targets=targets)
    await h.elb("RegisterTargets", TargetGroupArn=group, Targets=targets)
    h.now += 1000
    await h.settle()
    assert (await h.health(group))["172.31.0.20:80"]["State"] == "initial"


async def test_instances_are_nodes(h: Harness) -> None:
    from havre.control.nodes import ec2_instance

    arn, group = await h.balancer(), await h.group(TargetType="instance")
    await h.listener(arn, group)
    with pytest.raises(ApiError) as caught:
        await h.elb("RegisterTargets", TargetGroupArn=group, Targets=[{"Id": "i-0123456789abcdef0"}])
    assert caught.value.code == "InvalidTarget"
    await h.elb("RegisterTargets", TargetGroupArn=group, Targets=[{"Id": ec2_instance("node-1"), "Port": 32768}])
    await h.settle()
    (target,) = h.told()[0].pools[0].targets
    assert (target.address, target.port, target.vpc) == ("127.0.0.1", 32768, "")


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ({"Id": "8.8.8.8"}, "InvalidTarget"),
        ({"Id": "nonsense"}, "ValidationError"),
        ({"Id": "10.9.9.9"}, "ValidationError"),
        ({"Id": "10.9.9.9", "AvailabilityZone": "all"}, ""),
    ],
)
async def test_addresses_lie_in_the_vpc_or_in_private_ranges(h: Harness, target: dict[str, str], code: str) -> None:
    group = await h.group()
    try:
        await h.elb("RegisterTargets", TargetGroupArn=group, Targets=[target])
    except ApiError as error:
        assert error.code == code
    else:
        assert code == ""


async def test_rules_are_tried_by_priority_and_the_default_one_last(h: Harness) -> None:
    arn, group = await h.balancer(), await h.group()
    listener = await h.listener(arn, group)
    fixed = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404", "MessageBody": "no"}}
    made = {}
    for priority in (20, 10):
        condition = {"Field": "path-pattern", "Values": [f"/{priority}/*"]}
        answer = await h.elb(
            "CreateRule", ListenerArn=listener, Priority=priority, Conditions=[condition], Actions=[fixed]
        )
        made[priority] = answer["Rules"][0]["RuleArn"]
    shown = (await h.elb("DescribeRules", ListenerArn=listener))["Rules"]
    assert [r["Priority"] for r in shown] == ["10", "20", "default"] and shown[-1]["IsDefault"]
    await h.settle()
    rules = h.told()[0].listeners[0].rules
    assert [r.conditions[0].values if r.conditions else () for r in rules] == [("/10/*",), ("/20/*",), ()]
    with pytest.raises(ApiError) as caught:
        await h.elb("SetRulePriorities", RulePriorities=[{"RuleArn": made[10], "Priority": 20}])
    assert caught.value.code == "PriorityInUse"
    swap = [{"RuleArn": made[10], "Priority": 20}, {"RuleArn": made[20], "Priority": 10}]
    await h.elb("SetRulePriorities", RulePriorities=swap)
    await h.settle()
    assert [r.conditions[0].values for r in h.told()[0].listeners[0].rules[:2]] == [("/20/*",), ("/10/*",)]
    for operation in ("DeleteRule", "ModifyRule"):
        with pytest.raises(ApiError) as caught:
            await h.elb(operation, RuleArn=shown[-1]["RuleArn"])
        assert caught.value.code == "OperationNotPermitted"


async def test_a_group_belongs_to_one_balancer_and_is_held_by_it(h: Harness) -> None:
    one, group = await h.balancer(), await h.group()
    await h.listener(one, group)
    other = await h.balancer("other")
    with pytest.raises(ApiError) as caught:
        await h.listener(other, group)
    assert caught.value.code == "TargetGroupAssociationLimit"
    with pytest.raises(ApiError) as caught:
        await h.listener(one, await h.group("more"))
    assert caught.value.code == "DuplicateListener"
    with pytest.raises(ApiError) as caught:
        await h.elb("DeleteTargetGroup", TargetGroupArn=group)
    assert caught.value.code == "ResourceInUse" and "currently in use by a listener or a rule" in caught.value.message
    shown = await h.elb("DescribeTargetGroups", LoadBalancerArn=one)
    assert [g["LoadBalancerArns"] for g in shown["TargetGroups"]] == [[one]]


async def test_subnets_and_security_groups_change_in_place(h: Harness) -> None:
    arn = await h.balancer()
    vpc, subnets = await h.network()
    group = (await h.ec2("CreateSecurityGroup", GroupName="g", Description="d", VpcId=vpc))["GroupId"]
    assert (await h.elb("SetSecurityGroups", LoadBalancerArn=arn, SecurityGroups=[group]))["SecurityGroupIds"] == [
        group
    ]
    await h.elb("SetSubnets", LoadBalancerArn=arn, Subnets=subnets[1:3])
    await h.settle()
    (told,) = h.told()
    assert told.security_groups == (group,) and {s for s, _ in told.addresses} == set(subnets[1:3])
    interfaces = (await h.ec2("DescribeNetworkInterfaces"))["NetworkInterfaces"]
    assert {i["SubnetId"] for i in interfaces} == set(subnets[1:3])
    assert {g["GroupId"] for i in interfaces for g in i["Groups"]} == {group}


async def test_attributes_reach_the_node(h: Harness) -> None:
    arn, group = await h.balancer(), await h.group()
    await h.listener(arn, group)
    idle = [{"Key": "idle_timeout.timeout_seconds", "Value": "7"}]
    await h.elb("ModifyLoadBalancerAttributes", LoadBalancerArn=arn, Attributes=idle)
    sticky = [
        {"Key": "stickiness.enabled", "Value": "true"},
        {"Key": "stickiness.lb_cookie.duration_seconds", "Value": "90"},
        {"Key": "load_balancing.algorithm.type", "Value": "least_outstanding_requests"},
    ]
    await h.elb("ModifyTargetGroupAttributes", TargetGroupArn=group, Attributes=sticky)
    await h.settle()
    (told,) = h.told()
    assert told.idle_timeout == 7
    assert (told.pools[0].sticky, told.pools[0].algorithm) == (90, "least_outstanding_requests")


async def test_pages_are_cut_and_markers_checked(h: Harness) -> None:
    for name in ("a", "b", "c"):
        await h.group(name)
    first = await h.elb("DescribeTargetGroups", PageSize=2)
    rest = await h.elb("DescribeTargetGroups", PageSize=2, Marker=first["NextMarker"])
    names = [g["TargetGroupName"] for g in [*first["TargetGroups"], *rest["TargetGroups"]]]
    assert names == ["a", "b", "c"] and rest["NextMarker"] is None
    with pytest.raises(ApiError) as caught:
        await h.elb("DescribeTargetGroups", Marker="bm9uc2Vuc2U=")
    assert caught.value.code == "ValidationError"


async def test_tags_need_a_permission_of_their_own(h: Harness) -> None:
    h.denied.add("elasticloadbalancing:AddTags")
    with pytest.raises(ApiError) as caught:
        await h.group(Tags=[{"Key": "team", "Value": "a"}])
    assert caught.value.code == "AccessDenied"
    h.denied.clear()
    arn = await h.group(Tags=[{"Key": "team", "Value": "a"}])
    await h.elb("AddTags", ResourceArns=[arn], Tags=[{"Key": "env", "Value": "b"}])
    await h.elb("RemoveTags", ResourceArns=[arn], TagKeys=["team"])
    shown = await h.elb("DescribeTags", ResourceArns=[arn])
    assert shown["TagDescriptions"] == [{"ResourceArn": arn, "Tags": [{"Key": "env", "Value": "b"}]}]
