"""EC2's networks: VPCs, subnets, security groups, route tables, internet gateways, network interfaces, the default VPC.

The promise: what is written here holds on the machine. A VPC is a network of its own, a security group filters
(statefully, both ways, between interfaces of one subnet too), a subnet without a route to an internet gateway has no
way out. Left out, and refused by name: instances of one's own, elastic addresses, NAT gateways, peering, endpoints,
IPv6, network ACLs other than the default one. Policies may ask for the tags and the VPC (``ec2:Vpc``) of the resource of a
request that is about one resource; of several they are not told.
"""

from __future__ import annotations

from typing import Any

from havre.control.deps import ReconcilerDeps
from havre.control.operation import Service, merge
from havre.control.reconciler import Reconciler

PARTIAL = {
    "AuthorizeSecurityGroupIngress": "rules with IPv6 blocks are kept, and have nothing to let through: VPCs have no IPv6",
    "AuthorizeSecurityGroupEgress": "rules with IPv6 blocks are kept, and have nothing to let through: VPCs have no IPv6",
    "DescribeInstances": "the machines that Havre runs on; RunInstances is not implemented",
    "ModifySubnetAttribute": "MapPublicIpOnLaunch is kept; interfaces get no public addresses",
    "DescribeNetworkInterfaces": "no public addresses (Association): a route to an internet gateway suffices",
}


def service() -> Service:
    from havre.services.ec2.operations import (
        absent,
        group_rules,
        groups,
        interfaces,
        places,
        routes,
        subnets,
        tagging,
        vpcs,
    )
    from havre.services.ec2.resources import KINDS

    operations = merge(
        vpcs.ops,
        subnets.ops,
        groups.ops,
        group_rules.ops,
        routes.ops,
        interfaces.ops,
        places.ops,
        tagging.ops,
        absent.ops,
    )
    return Service("ec2", operations, KINDS, partial=PARTIAL)


def reconcilers(deps: ReconcilerDeps) -> list[Reconciler[Any]]:
    from havre.services.ec2.reconcile import VpcReconciler

    return [VpcReconciler(deps)]
