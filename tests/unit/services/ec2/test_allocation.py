"""Addresses of a subnet, over any order of making and deleting interfaces; subnets of a VPC, over any blocks."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.services.ec2.ec2_harness import Ec2

from havre.kernel.errors import ApiError

STEPS = st.lists(st.one_of(st.just(("make", 0)), st.tuples(st.sampled_from(["ask", "delete"]), st.integers(0, 15))))


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_no_address_is_given_twice_and_none_is_lost(steps: Sequence[tuple[str, int]]) -> None:
    asyncio.run(_interfaces(steps))


async def _interfaces(steps: Sequence[tuple[str, int]]) -> None:
    ec2 = Ec2()
    vpc, _, _ = await ec2.default()
    subnet = (await ec2("CreateSubnet", VpcId=vpc, CidrBlock="172.31.200.0/28"))["Subnet"]["SubnetId"]
    held: dict[str, str] = {}
    for what, number in steps:
        asked = {"PrivateIpAddress": f"172.31.200.{number}"} if what == "ask" else {}
        if what == "delete":
            if held:
                address = sorted(held)[number % len(held)]
                await ec2("DeleteNetworkInterface", NetworkInterfaceId=held.pop(address))
            continue
        try:
            made = (await ec2("CreateNetworkInterface", SubnetId=subnet, **asked))["NetworkInterface"]
        except ApiError as refused:
            expected = {
                "InsufficientFreeAddressesInSubnet": not asked and len(held) == 11,
                "InvalidIPAddress.InUse": asked.get("PrivateIpAddress") in held,
                "InvalidParameterValue": bool(asked) and number not in range(4, 15),
            }
            assert expected[refused.code], refused
            continue
        address = made["PrivateIpAddress"]
        assert address not in held and int(address.rpartition(".")[2]) in range(4, 15)
        assert not asked or address == asked["PrivateIpAddress"]
        held[address] = made["NetworkInterfaceId"]
    (shown,) = (await ec2("DescribeSubnets", SubnetIds=[subnet]))["Subnets"]
    assert shown["AvailableIpAddressCount"] == 11 - len(held)


BLOCKS = st.lists(st.tuples(st.integers(0, 4095), st.integers(22, 28)), max_size=12)


@settings(max_examples=25, deadline=None)
@given(BLOCKS)
def test_subnets_never_overlap(blocks: Sequence[tuple[int, int]]) -> None:
    asyncio.run(_subnets(blocks))


async def _subnets(blocks: Sequence[tuple[int, int]]) -> None:
    ec2 = Ec2()
    vpc = (await ec2("CreateVpc", CidrBlock="10.0.0.0/20"))["Vpc"]["VpcId"]
    made: list[ipaddress.IPv4Network] = []
    for offset, bits in blocks:
        block = ipaddress.ip_network((int(ipaddress.ip_address("10.0.0.0")) + offset, bits), strict=False)
        try:
            await ec2("CreateSubnet", VpcId=vpc, CidrBlock=str(block))
        except ApiError as refused:
            assert refused.code == "InvalidSubnet.Conflict" and any(block.overlaps(other) for other in made)
        else:
            assert not any(block.overlaps(other) for other in made)
            made.append(block)
