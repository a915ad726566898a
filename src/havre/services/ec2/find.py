"""Reading one resource by its id, with EC2's error when it is not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from havre.control.operation import Call
from havre.kernel.errors import ApiError
from havre.kernel.resource import Kind, Resource, scoped
from havre.services.ec2 import errors
from havre.services.ec2 import resources as r
from havre.services.ec2.errors import Noun
from havre.store.ports import Reader

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T", bound=msgspec.Struct)

NOUN: Mapping[str, Noun] = {
    r.VPC.name: errors.VPC,
    r.SUBNET.name: errors.SUBNET,
    r.GROUP.name: errors.GROUP,
    r.GATEWAY.name: errors.GATEWAY,
    r.TABLE.name: errors.TABLE,
    r.ACL.name: errors.ACL,
    r.DHCP.name: errors.DHCP,
    r.INTERFACE.name: errors.INTERFACE,
}
KIND_OF_PREFIX: Mapping[str, Kind[Any, Any]] = {NOUN[kind.name].prefix: kind for kind in r.KINDS if kind.name in NOUN}


def one(call: Call, reader: Reader, kind: Kind[S, T], id: str) -> Resource[S, T]:
    """Raises the kind's Malformed or NotFound."""
    noun = NOUN[kind.name]
    if not id.startswith(noun.prefix):
        raise errors.malformed(noun, id)
    found = reader.get(kind, call.account, call.region, id)
    if found is None:
        raise errors.not_found(noun, id)
    return found


def some(call: Call, kind: Kind[S, T], ids: Sequence[str]) -> Sequence[Resource[S, T]]:
    """Those of the ids, each of which must exist; all of the region when there are none."""
    if not ids:
        return call.store.list(kind, call.account, call.region)
    return [one(call, call.store, kind, id) for id in dict.fromkeys(ids)]


def made_by(call: Call, reader: Reader, kind: Kind[S, T], token: str) -> Resource[S, T] | None:
    """What a request with this ClientToken has made already."""
    found = reader.find(kind, "token", scoped(call.account, call.region, token)) if token else ()
    return found[0] if found else None


def default_vpc(call: Call, reader: Reader) -> r.VpcR | None:
    return next((v for v in reader.list(r.VPC, call.account, call.region) if v.spec.default), None)


def the_default_vpc(call: Call, reader: Reader) -> r.VpcR:
    """Raises VPCIdNotSpecified."""
    found = default_vpc(call, reader)
    if found is None:
        raise ApiError("VPCIdNotSpecified", "No default VPC for this user")
    return found


def main_table(reader: Reader, vpc: str) -> r.TableR:
    return next(t for t in reader.find(r.TABLE, "vpc", vpc) if t.spec.main)


def table_of(reader: Reader, subnet: r.SubnetR) -> r.TableR:
    """The route table that counts for this subnet."""
    own = reader.find(r.TABLE, "subnet", subnet.meta.name)
    return own[0] if own else main_table(reader, subnet.spec.vpc)


def owner_of(requester: str) -> str:
    """Who holds an interface that the service ``requester`` made, as EC2 shows it."""
    return {"elasticloadbalancing.amazonaws.com": "amazon-elb"}.get(requester, "amazon-aws")
