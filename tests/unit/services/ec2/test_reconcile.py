"""What nodes are told of a VPC: all of it, as soon as something has an interface in it, and nothing after the last one."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.services.ec2.ec2_harness import ACCOUNT, ECS, REGION, Ec2

from havre.control import nodes
from havre.kernel.errors import Conflict
from havre.kernel.vpc import NetworkRule, Vpc
from havre.services.ec2.reconcile import LINGER, VpcReconciler
from havre.store.ports import Change


@pytest.fixture
def ec2() -> Ec2:
    return Ec2()


async def interface(ec2: Ec2, subnet: str, **more: Any) -> str:
    made = await ec2("CreateNetworkInterface", SubnetId=subnet, service=ECS, **more)
    return str(made["NetworkInterface"]["NetworkInterfaceId"])


def told(ec2: Ec2, vpc: str) -> Vpc:
    found = ec2.told(vpc)
    assert found is not None
    return found


async def test_a_vpc_is_built_from_its_first_interface_to_its_last(ec2: Ec2) -> None:
    vpc, subnets, group = await ec2.default()
    await ec2.runner.drain()
    assert ec2.told(vpc) is None
    first = await interface(ec2, subnets[0])
    built = told(ec2, vpc)
    assert built.cidrs == ("172.31.0.0/16",) and built.internet and built.resolver
    assert [(s.id, s.zone, s.internet) for s in built.subnets] == [
        (id, f"us-east-1{letter}", ("0.0.0.0/0",)) for id, letter in sorted(zip(subnets, "abc", strict=True))
    ]
    (own,) = built.security_groups
    assert own.id == group and own.ingress == (NetworkRule("-1", -1, -1, group=group),)
    assert own.egress == (NetworkRule("-1", -1, -1, cidr="0.0.0.0/0"),)
    assert built.domain == "ec2.internal"
    second = await interface(ec2, subnets[1])
    await ec2("DeleteNetworkInterface", NetworkInterfaceId=first, service=ECS)
    await ec2.runner.drain()
    assert told(ec2, vpc) == built
    await ec2("DeleteNetworkInterface", NetworkInterfaceId=second, service=ECS)
    await ec2.runner.drain()
    assert told(ec2, vpc) == built, "the next task shall find it built"
    ec2.time += LINGER - 1
    await ec2.runner.drain()
    assert told(ec2, vpc) == built
    ec2.time += 2
    await ec2.runner.drain()
    assert ec2.told(vpc) is None


async def test_a_vpc_that_is_used_again_in_time_stays(ec2: Ec2) -> None:
    vpc, subnets, group = await ec2.default()
    for _ in range(3):
        id = await interface(ec2, subnets[0])
        await ec2.runner.drain()
        await ec2("DeleteNetworkInterface", NetworkInterfaceId=id, service=ECS)
        await ec2.runner.drain()
        ec2.time += LINGER / 2 + 1
        await ec2.runner.drain()
        assert ec2.told(vpc) is not None
    web = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
    await ec2("AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=[web])
    await ec2.runner.drain()
    assert len(told(ec2, vpc).security_groups[0].ingress) == 2, "it is kept as it is described meanwhile"


async def test_a_deleted_vpc_goes_at_once(ec2: Ec2) -> None:
    vpc = (await ec2("CreateVpc", CidrBlock="10.0.0.0/16"))["Vpc"]["VpcId"]
    subnet = (await ec2("CreateSubnet", VpcId=vpc, CidrBlock="10.0.0.0/24"))["Subnet"]["SubnetId"]
    id = await interface(ec2, subnet)
    await ec2.runner.drain()
    await ec2("DeleteNetworkInterface", NetworkInterfaceId=id, service=ECS)
    await ec2("DeleteSubnet", SubnetId=subnet)
    await ec2("DeleteVpc", VpcId=vpc)
    await ec2.runner.drain()
    assert ec2.told(vpc) is None


async def test_changes_reach_the_nodes(ec2: Ec2) -> None:
    vpc, subnets, group = await ec2.default()
    await interface(ec2, subnets[0])
    web = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
    web["Ipv6Ranges"] = [{"CidrIpv6": "::/0"}]
    await ec2("AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=[web])
    await ec2.runner.drain()
    rule = NetworkRule("tcp", 80, 80, "10.0.0.0/8")
    assert rule in told(ec2, vpc).security_groups[0].ingress and len(told(ec2, vpc).security_groups[0].ingress) == 2
    await ec2("RevokeSecurityGroupIngress", GroupId=group, IpPermissions=[web])
    await ec2("ModifyVpcAttribute", VpcId=vpc, EnableDnsHostnames={"Value": False})
    made = await ec2("CreateSubnet", VpcId=vpc, CidrBlock="172.31.128.0/24")
    await ec2.runner.drain()
    now = told(ec2, vpc)
    assert rule not in now.security_groups[0].ingress and now.domain == ""
    assert made["Subnet"]["SubnetId"] in {s.id for s in now.subnets}
    await ec2("ModifyVpcAttribute", VpcId=vpc, EnableDnsSupport={"Value": False})
    await ec2.runner.drain()
    assert not told(ec2, vpc).resolver


async def test_a_subnet_without_a_route_has_no_way_out(ec2: Ec2) -> None:
    vpc, subnets, _ = await ec2.default()
    await interface(ec2, subnets[0])
    private = (await ec2("CreateRouteTable", VpcId=vpc))["RouteTable"]["RouteTableId"]
    await ec2("AssociateRouteTable", RouteTableId=private, SubnetId=subnets[1])
    await ec2.runner.drain()

    def ways() -> list[tuple[str, ...]]:
        by_id = {s.id: s.internet for s in told(ec2, vpc).subnets}
        return [by_id[id] for id in subnets]

    assert ways() == [("0.0.0.0/0",), (), ("0.0.0.0/0",)]
    (gateway,) = (await ec2("DescribeInternetGateways"))["InternetGateways"]
    id = gateway["InternetGatewayId"]
    await ec2("CreateRoute", RouteTableId=private, DestinationCidrBlock="8.8.8.0/24", GatewayId=id)
    await ec2.runner.drain()
    assert ways()[1] == ("8.8.8.0/24",)
    await ec2("DetachInternetGateway", InternetGatewayId=id, VpcId=vpc)
    await ec2.runner.drain()
    assert ways() == [(), (), ()] and not told(ec2, vpc).internet


async def test_changed_groups_of_an_interface_reach_the_nodes(ec2: Ec2) -> None:
    vpc, subnets, _ = await ec2.default()
    id = await interface(ec2, subnets[0])
    group = (await ec2("CreateSecurityGroup", GroupName="a", Description="b"))["GroupId"]
    await ec2("ModifyNetworkInterfaceAttribute", NetworkInterfaceId=id, Groups=[group])
    await ec2.runner.drain()
    assert told(ec2, vpc).regrouped == {id: (group,)}
    assert group in {g.id for g in told(ec2, vpc).security_groups}


async def test_an_interface_made_while_the_vpc_goes_keeps_it(ec2: Ec2) -> None:
    """The reconciler decided to remove it; before it writes, the VPC is used again."""
    vpc, subnets, _ = await ec2.default()
    first = await interface(ec2, subnets[0])
    await ec2.runner.drain()
    await ec2("DeleteNetworkInterface", NetworkInterfaceId=first, service=ECS)
    await ec2.runner.drain()
    ec2.time += LINGER
    reconciler = ec2.reconciler
    assert isinstance(reconciler, VpcReconciler)
    seen = await reconciler.observe((ACCOUNT, REGION, vpc))
    assert seen is not None
    (removal,) = reconciler.decide(seen).writes
    await interface(ec2, subnets[0])
    with pytest.raises(Conflict):
        await ec2.store.transact(lambda tx: tx.remove(removal.seen))  # type: ignore[union-attr]
    await ec2.runner.drain()
    assert ec2.told(vpc) is not None


async def test_only_what_matters_wakes_the_reconciler(ec2: Ec2) -> None:
    """A VPC of a thousand tasks is not compiled anew for each of them."""
    _, subnets, _ = await ec2.default()
    await interface(ec2, subnets[0])
    await ec2.runner.drain()
    changes = ec2.store.subscribe([nodes.VPC.name, "ec2.network_interface"])
    await interface(ec2, subnets[0])
    batch: list[Change] = list(await anext(changes))
    woken = [key for change in batch for key in ec2.reconciler.keys_of(change)]
    changes.close()
    assert batch and woken == []


async def test_explained_in_words(ec2: Ec2) -> None:
    vpc, subnets, _ = await ec2.default()
    arn = f"arn:aws:ec2:{REGION}:{ACCOUNT}:vpc/{vpc}"
    assert await ec2.runner.explain(arn) == ["no interface exists in this VPC: nodes build it when one does"]
    await interface(ec2, subnets[0])
    await ec2.runner.drain()
    assert await ec2.runner.explain(arn) == ["nodes build this VPC as it is described"]
