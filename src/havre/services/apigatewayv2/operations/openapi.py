"""APIs from OpenAPI documents, and documents of APIs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Request
from havre.services.apigatewayv2 import present, rules, store
from havre.services.apigatewayv2.declare import ApiOperations
from havre.services.apigatewayv2.errors import bad
from havre.services.apigatewayv2.openapi import reading, texts, writing
from havre.services.apigatewayv2.openapi.reading import Wanted
from havre.services.apigatewayv2.operations import apis
from havre.services.apigatewayv2.operations.parts import NOUNS, Members
from havre.services.apigatewayv2.resources import AUTHORIZER, DEPLOYMENT, INTEGRATION, ROUTE, STAGE, Api, PartSpec
from havre.store.ports import Transaction

ops = ApiOperations()
_BY_NAME = {noun.name: noun for noun in NOUNS}
_DESCRIBED = (ROUTE, INTEGRATION, AUTHORIZER)


async def _wanted(call: Call, request: Request) -> Wanted:
    """What a document describes, checked. Raises ApiError."""
    wanted = reading.read(texts.parse(request["Body"]), (request.get("Basepath") or "ignore").lower())
    if wanted.warnings and request.get("FailOnWarnings"):
        raise bad(f"Warnings found during import: {' '.join(wanted.warnings)}")
    wanted.api = {**apis.FILLED, **wanted.api}
    rules.api(wanted.api)
    for name, all_of in (("Integration", wanted.integrations), ("Authorizer", wanted.authorizers)):
        for members in all_of.values():
            await _BY_NAME[name].before(call, members)
    return wanted


def _fill(tx: Transaction, call: Call, found: Api, wanted: Wanted) -> None:
    integrations = {n: _make(tx, call, found, "Integration", m) for n, m in wanted.integrations.items()}
    authorizers = {n: _make(tx, call, found, "Authorizer", m) for n, m in wanted.authorizers.items()}
    for route in wanted.routes:
        members = dict(route)
        if "Target" in members:
            members["Target"] = f"integrations/{integrations[members['Target']]}"
        if "AuthorizerId" in members:
            members["AuthorizerId"] = authorizers[members["AuthorizerId"]]
        _make(tx, call, found, "Route", members)
    store.redeploy(tx, call, found)


def _make(tx: Transaction, call: Call, found: Api, noun: str, members: Members) -> str:
    """Its id."""
    given = {name: value for name, value in members.items() if name in _BY_NAME[noun].members.split()}
    checked = _BY_NAME[noun].check(call, tx, found, given, "")
    spec = PartSpec(found.spec.id, store.fresh_id(call, 7), checked)
    store.create(tx, call, _BY_NAME[noun].kind, spec)
    return spec.id


def _told(call: Call, found: Api, wanted: Wanted) -> Mapping[str, Any]:
    return {**present.api(call, found), "ImportInfo": [], "Warnings": wanted.warnings}


@ops.on("ImportApi", "/apis", "Basepath Body FailOnWarnings", verb="PUT")
async def import_api(call: Call, request: Request) -> Answer:
    wanted = await _wanted(call, request)

    def change(tx: Transaction) -> Mapping[str, Any]:
        made = apis.create(tx, call, wanted.api, wanted.tags)
        _fill(tx, call, made, wanted)
        return _told(call, made, wanted)

    return await call.store.transact(change)


@ops.on("ReimportApi", "/apis/{ApiId}", "Basepath Body FailOnWarnings", verb="PUT")
async def reimport_api(call: Call, request: Request) -> Answer:
    """In place of all that was there but stages and deployments."""
    store.api(call, request["ApiId"])
    wanted = await _wanted(call, request)

    def change(tx: Transaction) -> Mapping[str, Any]:
        seen = store.api(call, request["ApiId"], tx)
        tags = wanted.tags or seen.spec.tags
        found = tx.update(seen, spec=replace(seen.spec, members=wanted.api, tags=tags))
        for kind in _DESCRIBED:
            for each in store.parts(tx, kind, found):
                tx.remove(each)
        _fill(tx, call, found, wanted)
        return _told(call, found, wanted)

    return await call.store.transact(change)


@ops.on(
    "ExportApi",
    "/apis/{ApiId}/exports/{Specification}",
    "ExportVersion IncludeExtensions OutputType StageName",
    verb="GET",
)
async def export_api(call: Call, request: Request) -> Answer:
    """As it is deployed to a stage, or as it is now."""
    if request.get("ExportVersion") not in (None, "1.0"):
        raise bad("Invalid exportVersion: 1.0 is supported")
    found = store.api(call, request["ApiId"])
    extended = request.get("IncludeExtensions")
    document = writing.write(
        found.spec.members, found.spec.tags, _parts(call, found, request), extended if extended is not None else True
    )
    return {"body": texts.write(document, request["OutputType"])}


def _parts(call: Call, found: Api, request: Request) -> Mapping[str, Mapping[str, Members]]:
    """Routes, integrations and authorizers by their ids."""
    names = ("routes", "integrations", "authorizers")
    if not request.get("StageName"):
        now = (
            {each.spec.id: dict(each.spec.members) for each in store.parts(call.store, k, found)} for k in _DESCRIBED
        )
        return dict(zip(names, now, strict=True))
    stage = store.part(call, STAGE, found.spec.id, request["StageName"])
    id = stage.spec.members.get("DeploymentId", "")
    if not id:
        raise bad(f"There is no deployment of the stage {stage.spec.id}")
    members = store.part(call, DEPLOYMENT, found.spec.id, id).spec.members
    return dict(zip(names, (members[kind.name] for kind in _DESCRIBED), strict=True))
