"""A VPC as nodes build it, from EC2's records. Pure reading: it runs inside transactions and in the reconciler."""

from __future__ import annotations

from havre.control import nodes
from havre.core import network
from havre.kernel.resource import NoStatus
from havre.kernel.vpc import NetworkRule, SecurityGroup, Subnet, Vpc
from havre.services.ec2 import find
from havre.services.ec2 import resources as r
from havre.services.ec2.present import is_active
from havre.store.ports import Reader, Transaction


def in_use(reader: Reader, vpc: str) -> bool:
    """Nodes build a VPC when something has an interface in it."""
    return reader.count(r.INTERFACE, "vpc", vpc) > 0


def compiled(reader: Reader, vpc: r.VpcR) -> Vpc:
    name = vpc.meta.name
    gateways = reader.find(r.GATEWAY, "vpc", name)
    return Vpc(
        id=name,
        cidrs=(vpc.spec.cidr,),
        subnets=tuple(_subnet(reader, s) for s in reader.find(r.SUBNET, "vpc", name)),
        security_groups=tuple(_group(g) for g in reader.find(r.GROUP, "vpc", name)),
        internet=bool(gateways),
        domain=network.private_domain(vpc.meta.region) if vpc.spec.dns_hostnames else "",
        resolver=vpc.spec.dns_support,
        regrouped={i.meta.name: i.spec.groups for i in reader.find(r.INTERFACE, "regrouped", name)},
    )


def _subnet(reader: Reader, s: r.SubnetR) -> Subnet:
    table = find.table_of(reader, s)
    ways = tuple(x.destination for x in table.spec.routes if is_active(reader, table, x))
    return Subnet(s.meta.name, s.spec.cidr, s.spec.zone, ways)


def _group(g: r.GroupR) -> SecurityGroup:
    """Rules with IPv6 blocks are left out: there is no IPv6 in these VPCs that they could let through."""
    rules = [
        (x.egress, NetworkRule(x.protocol, x.from_port, x.to_port, x.cidr, x.group))
        for x in g.spec.rules
        if not x.cidr6
    ]
    return SecurityGroup(
        g.meta.name,
        tuple(rule for egress, rule in rules if not egress),
        tuple(rule for egress, rule in rules if egress),
    )


def tell_nodes(tx: Transaction, account: str, region: str, vpc: str) -> None:
    """Have the nodes build the VPC if they do not yet: in the transaction that makes its first interface, so that the
    VPC is there before whatever wants to use the interface. The reconciler keeps it up to date from then on."""
    owner, told = tx.get(r.VPC, account, region, vpc), tx.get(nodes.VPC, account, region, vpc)
    if told is not None:
        if tx.count(r.INTERFACE, "vpc", vpc) == 1:
            tx.update(told, spec=told.spec)  # so that the reconciler, if it is just removing it, sees a Conflict
    elif owner is not None:
        tx.create(
            nodes.VPC,
            account=account,
            region=region,
            name=vpc,
            arn=owner.meta.arn,
            spec=nodes.VpcSpec(compiled(tx, owner)),
            status=NoStatus(),
        )
