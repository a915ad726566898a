"""APIs, their CORS configuration, their tags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Request
from havre.kernel.resource import NoStatus
from havre.services.apigatewayv2 import domains, links, present, rules, store
from havre.services.apigatewayv2.declare import ApiOperations
from havre.services.apigatewayv2.errors import bad, not_found
from havre.services.apigatewayv2.operations.domains import check_unmapped
from havre.services.apigatewayv2.paging import page
from havre.services.apigatewayv2.resources import (
    API,
    INTEGRATION,
    PARTS,
    ROUTE,
    STAGE,
    Api,
    ApiSpec,
    Domain,
    Link,
    Part,
    PartSpec,
)
from havre.services.apigatewayv2.roles import check_passing
from havre.store.ports import Reader, Transaction

ops = ApiOperations()
_KEPT = "Name ProtocolType Description Version CorsConfiguration DisableExecuteApiEndpoint DisableSchemaValidation"
_QUICK = "RouteKey Target CredentialsArn"
_USUAL = "RouteSelectionExpression ApiKeySelectionExpression IpAddressType"
FILLED = {
    "RouteSelectionExpression": "$request.method $request.path",
    "ApiKeySelectionExpression": "$request.header.x-api-key",
    "DisableExecuteApiEndpoint": False,
    "IpAddressType": "ipv4",
}


def _given(request: Request) -> dict[str, Any]:
    known = f"{_KEPT} {_USUAL}".split()
    return {key: value for key, value in request.items() if key in known and value is not None}


@ops.on("CreateApi", "/apis", f"{_KEPT} {_USUAL} {_QUICK} Tags")
async def create_api(call: Call, request: Request) -> Answer:
    members = {**FILLED, **_given(request)}
    rules.api(members)
    await check_passing(call, request)

    def change(tx: Transaction) -> Mapping[str, Any]:
        made = create(tx, call, members, request.get("Tags") or {})
        if request.get("Target"):
            _quick(tx, call, made, request)
        return present.api(call, made)

    return await call.store.transact(change)


def create(tx: Transaction, call: Call, members: Mapping[str, Any], tags: Mapping[str, str]) -> Api:
    id = store.fresh_id(call, 10)
    return tx.create(
        API,
        account=call.account,
        region=call.region,
        name=id,
        arn=f"arn:aws:apigateway:{call.region}::/apis/{id}",
        spec=ApiSpec(id, members, dict(tags)),
        status=NoStatus(),
    )


def _quick(tx: Transaction, call: Call, made: Api, request: Request) -> None:
    """With a target an API is whole at once: an integration, a route, and a stage that deploys by itself."""
    target, id = request["Target"], made.spec.id
    proxied = {"IntegrationType": "HTTP_PROXY", "IntegrationMethod": "ANY"}
    function = {"IntegrationType": "AWS_PROXY", "PayloadFormatVersion": "2.0"}
    members = {**(function if rules.function_arn(target) else proxied), "IntegrationUri": target}
    if request.get("CredentialsArn"):
        members["CredentialsArn"] = request["CredentialsArn"]
    integration = PartSpec(id, store.fresh_id(call, 7), rules.integration(members, call.region), managed=True)
    store.create(tx, call, INTEGRATION, integration)
    route = {"RouteKey": request.get("RouteKey") or "$default", "AuthorizationType": "NONE", "ApiKeyRequired": False}
    rules.route(route)
    route["Target"] = f"integrations/{integration.id}"
    store.create(tx, call, ROUTE, PartSpec(id, store.fresh_id(call, 7), route, managed=True))
    store.create(tx, call, STAGE, PartSpec(id, "$default", {"AutoDeploy": True}, managed=True))
    store.redeploy(tx, call, made)


@ops.on("GetApi", "/apis/{ApiId}")
async def get_api(call: Call, request: Request) -> Answer:
    return present.api(call, store.api(call, request["ApiId"]))


@ops.on("GetApis", "/apis", "MaxResults NextToken")
async def get_apis(call: Call, request: Request) -> Answer:
    shown, token = page(call, request, call.store.list(API, call.account, call.region))
    return {"Items": [present.api(call, each) for each in shown], "NextToken": token}


@ops.on("UpdateApi", "/apis/{ApiId}", f"{_KEPT} {_USUAL}")
async def update_api(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> Mapping[str, Any]:
        seen = store.api(call, request["ApiId"], tx)
        members = store.merged(seen.spec.members, _given(request))
        rules.api(members)
        return present.api(call, tx.update(seen, spec=replace(seen.spec, members=members)))

    return await call.store.transact(change)


@ops.on("DeleteCorsConfiguration", "/apis/{ApiId}/cors")
async def delete_cors(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        seen = store.api(call, request["ApiId"], tx)
        members = {k: v for k, v in seen.spec.members.items() if k != "CorsConfiguration"}
        tx.update(seen, spec=replace(seen.spec, members=members))

    await call.store.transact(change)
    return None


@ops.on("DeleteApi", "/apis/{ApiId}")
async def delete_api(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        seen = store.api(call, request["ApiId"], tx)
        check_unmapped(tx, call, seen.spec.id)
        for kind in PARTS:
            for each in store.parts(tx, kind, seen):
                tx.remove(each)
        tx.remove(seen)

    await call.store.transact(change)
    return None


def _tagged(call: Call, arn: str, reader: Reader) -> Api | Part | Domain | Link:
    """By ``arn:aws:apigateway:region::/apis/id[/stages/name]``, ``/domainnames/name``, or ``/vpclinks/id``."""
    path = unquote(arn).partition("::")[2].split("/")
    if len(path) == 3 and path[1] == "domainnames":
        return domains.domain(call, path[2], reader)
    if len(path) == 3 and path[1] == "vpclinks":
        return links.link(call, path[2], reader)
    if len(path) == 3 and path[1] == "apis":
        return store.api(call, path[2], reader)
    if len(path) == 5 and path[1] == "apis" and path[3] == "stages":
        return store.part(call, STAGE, path[2], path[4], reader)
    raise not_found("Invalid resource ARN specified")


@ops.on("GetTags", "/tags/{ResourceArn}")
async def get_tags(call: Call, request: Request) -> Answer:
    return {"Tags": dict(_tagged(call, request["ResourceArn"], call.store).spec.tags)}


@ops.on("TagResource", "/tags/{ResourceArn}", "Tags", verb="POST")
async def tag_resource(call: Call, request: Request) -> Answer:
    new = request.get("Tags") or {}
    if any(key.lower().startswith("aws:") for key in new):
        raise bad("aws: prefixed tag key names are not allowed for external use.")

    def change(tx: Transaction) -> None:
        seen: Any = _tagged(call, request["ResourceArn"], tx)
        tags = {**seen.spec.tags, **new}
        if len(tags) > 50:
            raise bad("The number of tags exceeds the limit of 50")
        tx.update(seen, spec=replace(seen.spec, tags=tags))

    await call.store.transact(change)
    return None


@ops.on("UntagResource", "/tags/{ResourceArn}", "TagKeys", verb="DELETE")
async def untag_resource(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        seen: Any = _tagged(call, request["ResourceArn"], tx)
        tags = {k: v for k, v in seen.spec.tags.items() if k not in request["TagKeys"]}
        tx.update(seen, spec=replace(seen.spec, tags=tags))

    await call.store.transact(change)
    return None
