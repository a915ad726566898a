"""Load balancers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from havre.control.certificates.records import hold
from havre.control.operation import Answer, Call, Request
from havre.kernel.errors import ApiError, not_built
from havre.kernel.resource import scoped
from havre.services.elbv2 import attributes, names, network, present, queries, tags
from havre.services.elbv2 import resources as r
from havre.services.elbv2.declare import ElbOperations, arns
from havre.services.elbv2.errors import configuration, limit, not_permitted, validation
from havre.services.elbv2.paging import page
from havre.store.ports import Reader, Transaction

ops = ElbOperations()
MOST = 50


@ops.on(
    "CreateLoadBalancer",
    "Name Subnets SubnetMappings SecurityGroups Scheme Tags Type IpAddressType",
    resources=arns(creates="loadbalancer/app/{Name}/*"),
)
async def create_load_balancer(call: Call, request: Request) -> Answer:
    name = request["Name"]
    names.check(name, "Load balancer")
    _check_type(request)
    given = await tags.of_creation(call, request, call.arn(f"loadbalancer/app/{name}/*", "elasticloadbalancing"))
    vpc, places = await network.placements(call, _subnets(request))
    if len(places) < 2:
        raise validation("At least two subnets in two different Availability Zones must be specified")
    groups = await network.security_groups(call, vpc, request.get("SecurityGroups") or ())
    scheme = request.get("Scheme", "internet-facing")
    if scheme == "internet-facing":
        await network.check_way_in(call, vpc)
    id = call.world.hex(16)
    number = call.world.chance.randrange(10**8, 10**10)

    def change(tx: Transaction) -> r.LoadBalancerR:
        for same in tx.find(r.LOAD_BALANCER, "name", scoped(call.account, call.region, name)):
            return _same(same, (scheme, places, groups, given))
        if len(queries.load_balancers(call, tx)) >= MOST:
            raise limit("TooManyLoadBalancers", "load balancers")
        own = names.host_address(call.site.instance, id, lambda a: tx.count(r.LOAD_BALANCER, "host", a) > 0)
        dns = names.dns_name(name, number, call.region, scheme)
        spec = r.LoadBalancerSpec(name, id, "application", scheme, vpc, places, groups, dns, own, tags=given)
        arn = call.arn(f"loadbalancer/app/{name}/{id}", "elasticloadbalancing")
        where = {"account": call.account, "region": call.region, "name": f"{name}/{id}", "arn": arn}
        return tx.create(r.LOAD_BALANCER, **where, spec=spec, status=r.LoadBalancerStatus())

    made = await call.store.transact(change)
    return {"LoadBalancers": [present.load_balancer(call.store, made)]}


def _check_type(request: Request) -> None:
    kind = request.get("Type", "application")
    if kind not in ("application", "network", "gateway"):
        raise validation(f"Load balancer type '{kind}' must be one of '[application, network, gateway]'")
    if kind != "application":
        raise not_built("elbv2", f"load balancers of the type {kind}")
    if request.get("Scheme", "internal") not in ("internal", "internet-facing"):
        raise ApiError("InvalidScheme", f"Scheme '{request['Scheme']}' must be one of '[internet-facing, internal]'")
    if request.get("IpAddressType", "ipv4") != "ipv4":
        raise not_built("elbv2", f"the IP address type {request['IpAddressType']}")


def _subnets(request: Request) -> list[tuple[str, str]]:
    mappings = request.get("SubnetMappings") or ()
    plain = request.get("Subnets") or ()
    if mappings and plain:
        raise validation("You can specify either Subnets or SubnetMappings, not both")
    for each in mappings:
        for member in ("AllocationId", "PrivateIPv4Address", "IPv6Address", "SourceNatIpv6Prefix"):
            if each.get(member):
                raise configuration(f"{member} is not supported for application load balancers")
    if not mappings and not plain:
        raise validation("At least two subnets in two different Availability Zones must be specified")
    return [(each.get("SubnetId") or "", "") for each in mappings] or [(subnet, "") for subnet in plain]


def _same(old: r.LoadBalancerR, wanted: tuple[Any, ...]) -> r.LoadBalancerR:
    """Asking twice for the same is answered twice."""
    spec = old.spec
    if (spec.scheme, spec.placements, spec.security_groups, dict(spec.tags)) != wanted:
        raise ApiError(
            "DuplicateLoadBalancerName",
            f"A load balancer with the same name '{spec.name}' exists, but with different settings",
        )
    return old


@ops.on("DescribeLoadBalancers", "LoadBalancerArns Names Marker PageSize")
async def describe_load_balancers(call: Call, request: Request) -> Answer:
    arns_, names_ = request.get("LoadBalancerArns") or (), request.get("Names") or ()
    if arns_ and names_:
        raise validation("Load balancer names and load balancer ARNs cannot be specified at the same time")
    if len(arns_) > 20 or len(names_) > 20:
        raise validation("A maximum of 20 load balancers can be described by name or ARN at once")
    found = _found(call, call.store, arns_, names_)
    shown, marker = page(call, request, found, lambda lb: lb.meta.name)
    return {"LoadBalancers": [present.load_balancer(call.store, lb) for lb in shown], "NextMarker": marker}


def _found(call: Call, reader: Reader, arns_: Sequence[str], names_: Sequence[str]) -> Sequence[r.LoadBalancerR]:
    if arns_:
        missing = [arn for arn in arns_ if not _exists(call, reader, arn)]
        if missing:
            raise ApiError("LoadBalancerNotFound", f"Load balancers '{_listed(missing)}' not found")
        return [queries.load_balancer(call, reader, arn) for arn in arns_]
    everything = queries.load_balancers(call, reader)
    if not names_:
        return everything
    missing = sorted(set(names_) - {lb.spec.name for lb in everything})
    if missing:
        raise ApiError("LoadBalancerNotFound", f"Load balancers '{_listed(missing)}' not found")
    return [lb for lb in everything if lb.spec.name in names_]


def _exists(call: Call, reader: Reader, arn: str) -> bool:
    try:
        queries.load_balancer(call, reader, arn)
    except ApiError as error:
        if error.code == "LoadBalancerNotFound":
            return False
        raise
    return True


def _listed(items: Sequence[str]) -> str:
    return f"[{', '.join(items)}]"


@ops.on("DeleteLoadBalancer", "LoadBalancerArn", resources=arns("LoadBalancerArn"))
async def delete_load_balancer(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        try:
            lb = queries.load_balancer(call, tx, request["LoadBalancerArn"])
        except ApiError as error:
            if error.code == "LoadBalancerNotFound":
                return  # AWS: "if it does not exist or has already been deleted, the call succeeds"
            raise
        if lb.spec.attributes.get("deletion_protection.enabled") == "true":
            raise not_permitted(
                f"Load balancer '{lb.meta.arn}' cannot be deleted because deletion protection is enabled"
            )
        for rule in queries.rules_of_balancer(tx, lb):
            tx.remove(rule)
        for listener in queries.listeners_of(tx, lb):
            hold(tx, listener.meta.arn, "", ())
            tx.remove(listener)
        tx.update(lb, deleting=call.now)

    await call.store.transact(change)
    return {}


@ops.on(
    "SetSecurityGroups",
    "LoadBalancerArn SecurityGroups",
    resources=arns("LoadBalancerArn"),
)
async def set_security_groups(call: Call, request: Request) -> Answer:
    lb = queries.load_balancer(call, call.store, request["LoadBalancerArn"])
    if not request["SecurityGroups"]:
        raise validation("At least one security group must be specified")
    groups = await network.security_groups(call, lb.spec.vpc, request["SecurityGroups"])

    def change(tx: Transaction) -> None:
        lb = queries.load_balancer(call, tx, request["LoadBalancerArn"])
        tx.update(lb, spec=replace(lb.spec, security_groups=groups))

    await call.store.transact(change)
    return {"SecurityGroupIds": list(groups)}


@ops.on(
    "SetSubnets",
    "LoadBalancerArn Subnets SubnetMappings IpAddressType",
    resources=arns("LoadBalancerArn"),
)
async def set_subnets(call: Call, request: Request) -> Answer:
    lb = queries.load_balancer(call, call.store, request["LoadBalancerArn"])
    if request.get("IpAddressType", "ipv4") != "ipv4":
        raise not_built("elbv2", f"the IP address type {request['IpAddressType']}")
    vpc, places = await network.placements(call, _subnets(request))
    if len(places) < 2:
        raise validation("At least two subnets in two different Availability Zones must be specified")
    if vpc != lb.spec.vpc:
        raise configuration(f"All subnets must belong to the VPC of the load balancer, '{lb.spec.vpc}'")

    def change(tx: Transaction) -> r.LoadBalancerR:
        lb = queries.load_balancer(call, tx, request["LoadBalancerArn"])
        return tx.update(lb, spec=replace(lb.spec, placements=places))

    return {
        "AvailabilityZones": present.availability_zones(await call.store.transact(change)),
        "IpAddressType": "ipv4",
    }


@ops.on("SetIpAddressType", "LoadBalancerArn IpAddressType", resources=arns("LoadBalancerArn"))
async def set_ip_address_type(call: Call, request: Request) -> Answer:
    queries.load_balancer(call, call.store, request["LoadBalancerArn"])
    if request["IpAddressType"] != "ipv4":
        raise not_built("elbv2", f"the IP address type {request['IpAddressType']}")
    return {"IpAddressType": "ipv4"}


@ops.on("DescribeLoadBalancerAttributes", "LoadBalancerArn")
async def describe_load_balancer_attributes(call: Call, request: Request) -> Answer:
    lb = queries.load_balancer(call, call.store, request["LoadBalancerArn"])
    return {"Attributes": attributes.shown(attributes.APPLICATION, lb.spec.attributes)}


@ops.on("ModifyLoadBalancerAttributes", "LoadBalancerArn Attributes", resources=arns("LoadBalancerArn"))
async def modify_load_balancer_attributes(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> r.LoadBalancerR:
        lb = queries.load_balancer(call, tx, request["LoadBalancerArn"])
        wanted = request["Attributes"]
        after = attributes.changed(attributes.APPLICATION, lb.spec.attributes, wanted, "Load balancer")
        return tx.update(lb, spec=replace(lb.spec, attributes=after))

    lb = await call.store.transact(change)
    return {"Attributes": attributes.shown(attributes.APPLICATION, lb.spec.attributes)}
