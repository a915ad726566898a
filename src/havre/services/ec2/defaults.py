"""The default VPC that an account has in each region, as AWS makes it.

It is written down when the region is first used, whatever is asked then and however that ends: nobody can see that it
was not there before.
"""

from __future__ import annotations

import msgspec

from havre.control.operation import Call
from havre.kernel.addresses import Cidr, parse_cidr
from havre.kernel.resource import NoStatus
from havre.services.ec2 import find, make
from havre.services.ec2 import resources as r
from havre.services.ec2.zones import zones
from havre.store.ports import Transaction

CIDR = "172.31.0.0/16"
SUBNET_BITS = 20


async def ensure_region(call: Call) -> None:
    """The default VPC, durably, when this account uses this region for the first time."""
    if call.store.get(r.REGION, call.account, call.region, "region") is None:
        await call.store.transact(lambda tx: _open(call, tx))


def _open(call: Call, tx: Transaction) -> None:
    if tx.get(r.REGION, call.account, call.region, "region") is None:
        made = default_vpc(call, tx)
        tx.create(
            r.REGION,
            account=call.account,
            region=call.region,
            name="region",
            arn=call.arn("region/" + call.region, "ec2"),
            spec=r.RegionSpec(made.meta.name),
            status=NoStatus(),
        )


def default_vpc(call: Call, tx: Transaction) -> r.VpcR:
    """A VPC with an internet gateway, a route to it, and a public subnet in each zone."""
    made = make.vpc(call, tx, CIDR, default=True)
    name = made.meta.name
    gateway = make.new(call, tx, r.GATEWAY, r.GatewaySpec(name))
    table = find.main_table(tx, name)
    routes = (r.Route(make.ANYWHERE, gateway.meta.name),)
    tx.update(table, spec=msgspec.structs.replace(table.spec, routes=routes))
    for zone in zones(call.region):
        default_subnet(call, tx, made, zone)
    return made


def default_subnet(call: Call, tx: Transaction, vpc: r.VpcR, zone: str) -> r.SubnetR:
    """A /20 with public addresses, the first that is free in the VPC."""
    base = parse_cidr(vpc.spec.cidr)
    taken = [parse_cidr(s.spec.cidr) for s in tx.find(r.SUBNET, "vpc", vpc.meta.name)]
    step = 1 << (32 - SUBNET_BITS)
    blocks = (Cidr(start, SUBNET_BITS) for start in range(base.base, base.last, step))
    cidr = next(block for block in blocks if not any(block.meets(other) for other in taken))
    return make.subnet(call, tx, r.SubnetSpec(vpc.meta.name, str(cidr), zone, "", default=True, map_public=True))
