"""VPC links."""

from __future__ import annotations

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Request
from havre.services.apigatewayv2 import links, store
from havre.services.apigatewayv2.declare import ApiOperations
from havre.services.apigatewayv2.errors import bad
from havre.services.apigatewayv2.paging import page
from havre.services.apigatewayv2.resources import LINK, Link, LinkSpec, LinkStatus
from havre.store.ports import Transaction

ops = ApiOperations()
_ALL, _ONE = "/vpclinks", "/vpclinks/{VpcLinkId}"
MOST = 10
"""Of an account in a Region, as AWS's quota is."""


@ops.on("CreateVpcLink", _ALL, "Name SubnetIds SecurityGroupIds Tags")
async def create_vpc_link(call: Call, request: Request) -> Answer:
    subnets, groups = tuple(request["SubnetIds"]), tuple(request.get("SecurityGroupIds") or ())
    vpc = await links.check_place(call, subnets, groups)
    spec = LinkSpec(store.fresh_id(call, 6), request["Name"], vpc, subnets, groups, dict(request.get("Tags") or {}))

    def change(tx: Transaction) -> Link:
        if len(tx.list(LINK, call.account, call.region)) >= MOST:
            raise bad(f"Maximum number of VPC links exceeded: {MOST} in this account and Region")
        where = {"account": call.account, "region": call.region, "name": spec.id}
        arn = f"arn:aws:apigateway:{call.region}::/vpclinks/{spec.id}"
        return tx.create(LINK, **where, arn=arn, spec=spec, status=LinkStatus())

    return links.shown(await call.store.transact(change))


@ops.on("GetVpcLink", _ONE)
async def get_vpc_link(call: Call, request: Request) -> Answer:
    return links.shown(links.link(call, request["VpcLinkId"]))


@ops.on("GetVpcLinks", _ALL, "MaxResults NextToken")
async def get_vpc_links(call: Call, request: Request) -> Answer:
    some, token = page(call, request, call.store.list(LINK, call.account, call.region))
    return {"Items": [links.shown(each) for each in some], "NextToken": token}


@ops.on("UpdateVpcLink", _ONE, "Name")
async def update_vpc_link(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> Link:
        found = links.link(call, request["VpcLinkId"], tx)
        name = request.get("Name")
        return found if name is None else tx.update(found, spec=replace(found.spec, name=name))

    return links.shown(await call.store.transact(change))


@ops.on("DeleteVpcLink", _ONE)
async def delete_vpc_link(call: Call, request: Request) -> Answer:
    """Its interfaces go first; integrations that name it answer 503 from now on."""

    def change(tx: Transaction) -> None:
        found = links.link(call, request["VpcLinkId"], tx)
        if found.meta.deleting is None:
            tx.update(found, deleting=call.now)

    await call.store.transact(change)
    return {}
