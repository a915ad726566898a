"""Internet gateways and route tables: what leads out of a VPC."""

from __future__ import annotations

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Request
from havre.kernel.addresses import parse_cidr
from havre.kernel.errors import ApiError, not_built
from havre.services.ec2 import errors, find, make, present, tags
from havre.services.ec2 import resources as r
from havre.services.ec2.declare import Ec2Operations, arns
from havre.services.ec2.filters import Values, flag
from havre.services.ec2.listing import ACCEPTS, described
from havre.store.ports import Reader, Transaction

ops = Ec2Operations()
GATEWAYS, TABLES, ROUTES = 100, 200, 50


@ops.on("CreateInternetGateway", "TagSpecifications", resources=arns(creates=("internet-gateway",)))
async def create_internet_gateway(call: Call, request: Request) -> Answer:
    given = tags.given(request, "internet-gateway")
    await tags.allow(call, given, "internet-gateway/*")

    def change(tx: Transaction) -> r.GatewayR:
        if len(tx.list(r.GATEWAY, call.account, call.region)) >= GATEWAYS:
            raise errors.limit("InternetGatewayLimitExceeded", "internet gateways")
        return make.new(call, tx, r.GATEWAY, r.GatewaySpec(tags=given))

    return {"InternetGateway": present.gateway(await call.store.transact(change))}


@ops.on("AttachInternetGateway", "InternetGatewayId VpcId", resources=arns("InternetGatewayId", "VpcId"))
async def attach_internet_gateway(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        gateway = find.one(call, tx, r.GATEWAY, request["InternetGatewayId"])
        vpc = find.one(call, tx, r.VPC, request["VpcId"])
        if gateway.spec.vpc:
            raise ApiError(
                "Resource.AlreadyAssociated",
                f"resource {gateway.meta.name} is already attached to network {gateway.spec.vpc}",
            )
        if tx.count(r.GATEWAY, "vpc", vpc.meta.name):
            raise errors.invalid(f"Network {vpc.meta.name} already has an internet gateway attached")
        tx.update(gateway, spec=replace(gateway.spec, vpc=vpc.meta.name))

    await call.store.transact(change)
    return {}


@ops.on("DetachInternetGateway", "InternetGatewayId VpcId", resources=arns("InternetGatewayId", "VpcId"))
async def detach_internet_gateway(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        gateway = find.one(call, tx, r.GATEWAY, request["InternetGatewayId"])
        vpc = find.one(call, tx, r.VPC, request["VpcId"])
        if gateway.spec.vpc != vpc.meta.name:
            raise ApiError(
                "Gateway.NotAttached", f"resource {gateway.meta.name} is not attached to network {vpc.meta.name}"
            )
        tx.update(gateway, spec=replace(gateway.spec, vpc=""))

    await call.store.transact(change)
    return {}


@ops.on("DeleteInternetGateway", "InternetGatewayId", resources=arns("InternetGatewayId"))
async def delete_internet_gateway(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        gateway = find.one(call, tx, r.GATEWAY, request["InternetGatewayId"])
        if gateway.spec.vpc:
            raise errors.has_dependencies(errors.GATEWAY, gateway.meta.name)
        tx.remove(gateway)

    await call.store.transact(change)
    return {}


@ops.on("DescribeInternetGateways", f"InternetGatewayIds {ACCEPTS}")
async def describe_internet_gateways(call: Call, request: Request) -> Answer:
    known: dict[str, Values[r.GatewayR]] = {
        "attachment.state": lambda g: "available" if g.spec.vpc else (),
        "attachment.vpc-id": lambda g: g.spec.vpc or (),
        "internet-gateway-id": lambda g: g.meta.name,
        "owner-id": lambda g: g.meta.account,
    }
    found, token = described(call, request, r.GATEWAY, "InternetGatewayIds", known)
    return {"InternetGateways": [present.gateway(g) for g in found], "NextToken": token}


@ops.on("CreateRouteTable", "VpcId TagSpecifications ClientToken", resources=arns("VpcId", creates=("route-table",)))
async def create_route_table(call: Call, request: Request) -> Answer:
    given = tags.given(request, "route-table")
    await tags.allow(call, given, "route-table/*")
    token = request.get("ClientToken", "")

    def change(tx: Transaction) -> r.TableR:
        known = find.made_by(call, tx, r.TABLE, token)
        if known is not None:
            if known.spec.vpc != request["VpcId"]:
                raise errors.other_request(token)
            return known
        vpc = find.one(call, tx, r.VPC, request["VpcId"])
        if tx.count(r.TABLE, "vpc", vpc.meta.name) >= TABLES:
            raise errors.limit("RouteTableLimitExceeded", "route tables")
        return make.new(call, tx, r.TABLE, r.RouteTableSpec(vpc.meta.name, token=token, tags=given))

    made = await call.store.transact(change)
    return {"RouteTable": present.route_table(call.store, made), "ClientToken": token or None}


@ops.on("DeleteRouteTable", "RouteTableId", resources=arns("RouteTableId"))
async def delete_route_table(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        table = find.one(call, tx, r.TABLE, request["RouteTableId"])
        if table.spec.main or table.spec.associations:
            raise errors.has_dependencies(errors.TABLE, table.meta.name)
        tx.remove(table)

    await call.store.transact(change)
    return {}


_TARGETS = ("NatGatewayId", "NetworkInterfaceId", "InstanceId", "VpcPeeringConnectionId", "VpcEndpointId")


@ops.on("CreateRoute", "RouteTableId DestinationCidrBlock GatewayId", resources=arns("RouteTableId"))
async def create_route(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        table, destination = _table_and_destination(call, tx, request)
        route = r.Route(destination, _gateway(call, tx, table, request))
        same = next((x for x in table.spec.routes if x.destination == destination), None)
        if same is not None and same.gateway != route.gateway:
            raise ApiError("RouteAlreadyExists", f"The route identified by {destination} already exists.")
        if same is None:
            if len(table.spec.routes) >= ROUTES:
                raise errors.limit("RouteLimitExceeded", "routes")
            tx.update(table, spec=replace(table.spec, routes=(*table.spec.routes, route)))

    await call.store.transact(change)
    return {"Return": True}


@ops.on("ReplaceRoute", "RouteTableId DestinationCidrBlock GatewayId", resources=arns("RouteTableId"))
async def replace_route(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        table, destination = _table_and_destination(call, tx, request)
        left = tuple(x for x in table.spec.routes if x.destination != destination)
        if len(left) == len(table.spec.routes):
            raise _no_route(table, destination)
        route = r.Route(destination, _gateway(call, tx, table, request))
        tx.update(table, spec=replace(table.spec, routes=(*left, route)))

    await call.store.transact(change)
    return {}


@ops.on("DeleteRoute", "RouteTableId DestinationCidrBlock", resources=arns("RouteTableId"))
async def delete_route(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        table, destination = _table_and_destination(call, tx, request, deleting=True)
        left = tuple(x for x in table.spec.routes if x.destination != destination)
        if len(left) == len(table.spec.routes):
            raise _no_route(table, destination)
        tx.update(table, spec=replace(table.spec, routes=left))

    await call.store.transact(change)
    return {}


def _no_route(table: r.TableR, destination: str) -> ApiError:
    return ApiError(
        "InvalidRoute.NotFound",
        f"no route with destination-cidr-block {destination} in route table {table.meta.name}",
    )


def _table_and_destination(
    call: Call, reader: Reader, request: Request, deleting: bool = False
) -> tuple[r.TableR, str]:
    table = find.one(call, reader, r.TABLE, request["RouteTableId"])
    if "DestinationCidrBlock" not in request:
        raise errors.missing("destinationCidrBlock")
    try:
        cidr = parse_cidr(request["DestinationCidrBlock"])
    except ValueError:
        raise errors.invalid(
            f"Value ({request['DestinationCidrBlock']}) for parameter destinationCidrBlock is invalid. This is not a "
            f"valid CIDR block."
        ) from None
    vpc = find.one(call, reader, r.VPC, table.spec.vpc)
    if deleting and str(cidr) == vpc.spec.cidr:
        raise errors.invalid(f"cannot remove local route {cidr} in route table {table.meta.name}")
    if parse_cidr(vpc.spec.cidr).holds(cidr):
        raise errors.invalid(
            f"Route destination doesn't match any subnet CIDR blocks: {cidr} lies within the local route."
            if str(cidr) != vpc.spec.cidr
            else f"The destination CIDR block {cidr} is equal to or more specific than one of this VPC's CIDR blocks."
        )
    return table, str(cidr)


def _gateway(call: Call, reader: Reader, table: r.TableR, request: Request) -> str:
    if "GatewayId" not in request:
        raise errors.missing(" or ".join(["gatewayId", *(t[0].lower() + t[1:] for t in _TARGETS)]))
    id: str = request["GatewayId"]
    if not id.startswith("igw-"):
        raise not_built("ec2", f"routes to {id}")
    gateway = find.one(call, reader, r.GATEWAY, id)
    if gateway.spec.vpc != table.spec.vpc:
        raise errors.invalid(f"route table {table.meta.name} and network gateway {id} belong to different networks")
    return id


@ops.on("AssociateRouteTable", "RouteTableId SubnetId", resources=arns("RouteTableId", "SubnetId"))
async def associate_route_table(call: Call, request: Request) -> Answer:
    if "SubnetId" not in request:
        raise errors.missing("subnetId")

    def change(tx: Transaction) -> str:
        table = find.one(call, tx, r.TABLE, request["RouteTableId"])
        subnet = find.one(call, tx, r.SUBNET, request["SubnetId"])
        if subnet.spec.vpc != table.spec.vpc:
            raise errors.invalid(
                f"Route table {table.meta.name} and subnet {subnet.meta.name} belong to different networks"
            )
        for other in tx.find(r.TABLE, "subnet", subnet.meta.name):
            association = next(a for a in other.spec.associations if a.subnet == subnet.meta.name)
            if other.meta.name == table.meta.name:
                return association.id
            raise ApiError(
                "Resource.AlreadyAssociated",
                f"the specified association for route table {table.meta.name} conflicts with an existing association",
            )
        return _associate(call, tx, table, subnet.meta.name)

    id = await call.store.transact(change)
    return {"AssociationId": id, "AssociationState": {"State": "associated"}}


def _associate(call: Call, tx: Transaction, table: r.TableR, subnet: str) -> str:
    id = make.id_of(call, "rtbassoc-")
    tx.update(table, spec=replace(table.spec, associations=(*table.spec.associations, r.Association(id, subnet))))
    return id


def _association(reader: Reader, id: str) -> r.TableR:
    found = reader.find(r.TABLE, "association", id)
    if not found:
        raise ApiError("InvalidAssociationID.NotFound", f"The association ID '{id}' does not exist")
    return found[0]


def _association_arns(call: Call, request: Request) -> list[str]:
    """The route table and the subnet behind an association, and the table that takes its place."""
    found = [call.arn(f"route-table/{request['RouteTableId']}")] if "RouteTableId" in request else []
    for table in call.store.find(r.TABLE, "association", request["AssociationId"]):
        if (table.meta.account, table.meta.region) == (call.account, call.region):
            own = (a.subnet for a in table.spec.associations if a.id == request["AssociationId"])
            found += [table.meta.arn, *(call.arn(f"subnet/{subnet}") for subnet in own)]
    return found or ["*"]


@ops.on("DisassociateRouteTable", "AssociationId", resources=_association_arns)
async def disassociate_route_table(call: Call, request: Request) -> Answer:
    id: str = request["AssociationId"]

    def change(tx: Transaction) -> None:
        table = _association(_own(call, tx, id), id)
        if table.spec.main == id:
            raise errors.invalid(f"cannot disassociate the main route table association {id}")
        left = tuple(a for a in table.spec.associations if a.id != id)
        tx.update(table, spec=replace(table.spec, associations=left))

    await call.store.transact(change)
    return {}


def _own(call: Call, reader: Reader, id: str) -> Reader:
    """Associations of other accounts and regions are not there for this caller."""
    for table in reader.find(r.TABLE, "association", id):
        if (table.meta.account, table.meta.region) != (call.account, call.region):
            raise ApiError("InvalidAssociationID.NotFound", f"The association ID '{id}' does not exist")
    return reader


@ops.on("ReplaceRouteTableAssociation", "AssociationId RouteTableId", resources=_association_arns)
async def replace_route_table_association(call: Call, request: Request) -> Answer:
    id: str = request["AssociationId"]

    def change(tx: Transaction) -> str:
        old = _association(_own(call, tx, id), id)
        new = find.one(call, tx, r.TABLE, request["RouteTableId"])
        if new.spec.vpc != old.spec.vpc:
            raise errors.invalid(f"Route table {new.meta.name} belongs to another network than association {id}")
        if new.meta.name == old.meta.name:
            return id
        if old.spec.main == id:
            main = make.id_of(call, "rtbassoc-")
            tx.update(old, spec=replace(old.spec, main=""))
            tx.update(new, spec=replace(new.spec, main=main))
            return main
        subnet = next(a.subnet for a in old.spec.associations if a.id == id)
        left = tuple(a for a in old.spec.associations if a.id != id)
        tx.update(old, spec=replace(old.spec, associations=left))
        return _associate(call, tx, new, subnet)

    made = await call.store.transact(change)
    return {"NewAssociationId": made, "AssociationState": {"State": "associated"}}


@ops.on("DescribeRouteTables", f"RouteTableIds {ACCEPTS}")
async def describe_route_tables(call: Call, request: Request) -> Answer:
    found, token = described(call, request, r.TABLE, "RouteTableIds", _filters(call))
    return {"RouteTables": [present.route_table(call.store, t) for t in found], "NextToken": token}


def _filters(call: Call) -> dict[str, Values[r.TableR]]:
    def route(member: str) -> Values[r.TableR]:
        return lambda t: [x[member] for x in present.routes(call.store, t) if member in x]

    return {
        "association.gateway-id": lambda t: (),
        "association.main": lambda t: [
            *([flag(True)] if t.spec.main else []),
            *(flag(False) for _ in t.spec.associations),
        ],
        "association.route-table-association-id": lambda t: [
            *([t.spec.main] if t.spec.main else []),
            *(a.id for a in t.spec.associations),
        ],
        "association.route-table-id": lambda t: t.meta.name if t.spec.main or t.spec.associations else (),
        "association.subnet-id": lambda t: [a.subnet for a in t.spec.associations],
        "owner-id": lambda t: t.meta.account,
        "route-table-id": lambda t: t.meta.name,
        "route.destination-cidr-block": route("DestinationCidrBlock"),
        "route.destination-ipv6-cidr-block": lambda t: (),
        "route.gateway-id": route("GatewayId"),
        "route.nat-gateway-id": lambda t: (),
        "route.origin": route("Origin"),
        "route.state": route("State"),
        "vpc-id": lambda t: t.spec.vpc,
    }
