"""Routes, integrations and authorizers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from havre.control.operation import Answer, Call, Request
from havre.core import http_routes
from havre.kernel.errors import Permanent, Temporary
from havre.kernel.resource import Kind, NoStatus
from havre.services.apigatewayv2 import links, present, rules, store
from havre.services.apigatewayv2.declare import ApiOperations
from havre.services.apigatewayv2.errors import bad, conflict
from havre.services.apigatewayv2.paging import page
from havre.services.apigatewayv2.resources import AUTHORIZER, INTEGRATION, ROUTE, Api, PartSpec
from havre.services.apigatewayv2.roles import check_passing
from havre.store.ports import Reader, Transaction

ops = ApiOperations()
Members = dict[str, Any]
Check = Callable[[Call, Reader, Api, Members, str], Members]
"""(call, reader, API, members, its own id) → members as they are kept. Raises ApiError."""


def _route(call: Call, reader: Reader, found: Api, members: Members, own: str) -> Members:
    given = {"AuthorizationType": "NONE", "ApiKeyRequired": False, **members}
    rules.route(given)
    for each in store.parts(reader, ROUTE, found):
        if each.spec.members["RouteKey"] == given["RouteKey"] and each.spec.id != own:
            raise conflict(f"Route with key {given['RouteKey']} already exists for this API")
        if each.spec.id != own and http_routes.alike(each.spec.members["RouteKey"], given["RouteKey"]):
            raise conflict(
                f'The provided route key "{given["RouteKey"]}" has a conflicting variable on the same hierarchical level as '
                f'"{each.spec.members["RouteKey"]}"'
            )
    if given.get("Target"):
        store.part(call, INTEGRATION, found.spec.id, given["Target"].partition("/")[2], reader)
    if given.get("AuthorizerId"):
        authorizer = store.part(call, AUTHORIZER, found.spec.id, given["AuthorizerId"], reader)
        kind = {"JWT": "JWT", "CUSTOM": "REQUEST"}.get(given["AuthorizationType"])
        if kind is not None and authorizer.spec.members["AuthorizerType"] != kind:
            raise bad(rules.unfit(given["AuthorizationType"]))
    return given


def _integration(call: Call, reader: Reader, found: Api, members: Members, own: str) -> Members:
    made = rules.integration(members, call.region)
    if made.get("ConnectionId"):
        links.link(call, made["ConnectionId"], reader)
    return made


def _authorizer(call: Call, reader: Reader, found: Api, members: Members, own: str) -> Members:
    for each in store.parts(reader, AUTHORIZER, found):
        if each.spec.members["Name"] == members["Name"] and each.spec.id != own:
            raise conflict("Authorizer names should be unique within an API")
    for route in store.parts(reader, ROUTE, found):
        if own and route.spec.members.get("AuthorizerId") == own:
            kind = {"JWT": "JWT", "CUSTOM": "REQUEST"}.get(route.spec.members["AuthorizationType"])
            if kind is not None and kind != members["AuthorizerType"]:
                raise bad(f"Routes of the authorization type {route.spec.members['AuthorizationType']} use it")
    return rules.authorizer(members)


async def _nothing(call: Call, members: Members) -> None:
    pass


def _merged(old: Mapping[str, Any], new: Members) -> Members:
    """Parameters are changed one by one: an empty text takes one away, an empty map all those of a status."""
    merged = store.merged(old, new)
    if "RequestParameters" in new:
        merged["RequestParameters"] = store.merged(old.get("RequestParameters") or {}, new["RequestParameters"])
    if "ResponseParameters" in new:
        both = {**(old.get("ResponseParameters") or {}), **new["ResponseParameters"]}
        merged["ResponseParameters"] = {status: mapping for status, mapping in both.items() if mapping}
    return merged


async def _before_integration(call: Call, members: Members) -> None:
    await check_passing(call, members)
    await links.check_listener(call, members)


async def _before_authorizer(call: Call, members: Members) -> None:
    await check_passing(call, members)
    await _issuer(call, members)


async def _issuer(call: Call, members: Members) -> None:
    """Tokens' issuers are asked for their keys before anybody relies on them."""
    if members.get("AuthorizerType", "JWT") != "JWT" or not members.get("JwtConfiguration"):
        return
    from havre.services.apigatewayv2.serving.issuers import BadIssuer, discover

    if "AuthorizerType" in members:
        rules.authorizer(members)
    issuer = members["JwtConfiguration"].get("Issuer") or ""
    try:
        await discover(issuer)
    except (Permanent, Temporary):
        raise bad(
            f"Caught exception when connecting to {issuer.rstrip('/')}{rules.DISCOVERY} for issuer {issuer}. "
            f"Please try again later. {_invalid(issuer)}"
        ) from None
    except BadIssuer as why:
        raise bad(f"{_invalid(issuer)}: {why}") from None


def _invalid(issuer: str) -> str:
    return (
        f"Error: Invalid issuer: {issuer}. Issuer must have a valid discovery endpoint ended with '{rules.DISCOVERY}'"
    )


class Noun(msgspec.Struct, frozen=True):
    """``path`` below the API; ``members`` that have an effect. ``before``: what takes time, and comes before the change;
    ``merge``: what an update makes of members."""

    name: str
    kind: Kind[PartSpec, NoStatus]
    path: str
    members: str
    check: Check
    before: Callable[[Call, Members], Awaitable[None]] = _nothing
    merge: Callable[[Mapping[str, Any], Members], Members] = store.merged


NOUNS = (
    Noun(
        "Route",
        ROUTE,
        "routes",
        "RouteKey Target AuthorizationType AuthorizationScopes AuthorizerId OperationName",
        _route,
    ),
    Noun(
        "Integration",
        INTEGRATION,
        "integrations",
        "IntegrationType IntegrationUri IntegrationMethod IntegrationSubtype ConnectionType ConnectionId CredentialsArn"
        " Description PayloadFormatVersion TimeoutInMillis RequestParameters ResponseParameters TlsConfig",
        _integration,
        _before_integration,
        _merged,
    ),
    Noun(
        "Authorizer",
        AUTHORIZER,
        "authorizers",
        "AuthorizerType AuthorizerUri AuthorizerCredentialsArn AuthorizerPayloadFormatVersion IdentitySource Name"
        " AuthorizerResultTtlInSeconds EnableSimpleResponses JwtConfiguration",
        _authorizer,
        _before_authorizer,
    ),
)


def _given(request: Request, noun: Noun) -> Members:
    known = noun.members.split()
    return {key: value for key, value in request.items() if key in known and value is not None}


def _declare(noun: Noun) -> None:
    whole, one = f"/apis/{{ApiId}}/{noun.path}", f"/apis/{{ApiId}}/{noun.path}/{{{noun.name}Id}}"
    id = f"{noun.name}Id"

    @ops.on(f"Create{noun.name}", whole, noun.members)
    async def create(call: Call, request: Request) -> Answer:
        store.api(call, request["ApiId"])
        await noun.before(call, _given(request, noun))

        def change(tx: Transaction) -> Mapping[str, Any]:
            found = store.api(call, request["ApiId"], tx)
            members = noun.check(call, tx, found, _given(request, noun), "")
            made = store.create(tx, call, noun.kind, PartSpec(found.spec.id, store.fresh_id(call, 7), members))
            store.redeploy(tx, call, found)
            return present.part(noun.kind, made)

        return await call.store.transact(change)

    @ops.on(f"Get{noun.name}", one)
    async def get(call: Call, request: Request) -> Answer:
        return present.part(noun.kind, store.part(call, noun.kind, request["ApiId"], request[id]))

    @ops.on(f"Get{noun.name}s", whole, "MaxResults NextToken")
    async def get_all(call: Call, request: Request) -> Answer:
        found = store.parts(call.store, noun.kind, store.api(call, request["ApiId"]))
        shown, token = page(call, request, found)
        return {"Items": [present.part(noun.kind, each) for each in shown], "NextToken": token}

    @ops.on(f"Update{noun.name}", one, noun.members)
    async def update(call: Call, request: Request) -> Answer:
        store.part(call, noun.kind, request["ApiId"], request[id])
        await noun.before(call, _given(request, noun))

        def change(tx: Transaction) -> Mapping[str, Any]:
            seen = store.part(call, noun.kind, request["ApiId"], request[id], tx)
            found = store.api(call, request["ApiId"], tx)
            members = noun.merge(seen.spec.members, _given(request, noun))
            members = noun.check(call, tx, found, members, seen.spec.id)
            changed = tx.update(seen, spec=replace(seen.spec, members=members))
            store.redeploy(tx, call, found)
            return present.part(noun.kind, changed)

        return await call.store.transact(change)

    @ops.on(f"Delete{noun.name}", one)
    async def delete(call: Call, request: Request) -> Answer:
        def change(tx: Transaction) -> None:
            seen = store.part(call, noun.kind, request["ApiId"], request[id], tx)
            found = store.api(call, request["ApiId"], tx)
            _unused(tx, found, noun, seen.spec.id)
            tx.remove(seen)
            store.redeploy(tx, call, found)

        await call.store.transact(change)
        return None


def _unused(tx: Transaction, found: Api, noun: Noun, id: str) -> None:
    uses = {"Integration": ("Target", f"integrations/{id}"), "Authorizer": ("AuthorizerId", id)}
    if noun.name not in uses:
        return
    member, value = uses[noun.name]
    users = [route.spec.id for route in store.parts(tx, ROUTE, found) if route.spec.members.get(member) == value]
    if users:
        raise conflict(
            f"Cannot delete {noun.name} because it is referenced by the following Routes with Ids: [{', '.join(users)}]"
        )


for _noun in NOUNS:
    _declare(_noun)
