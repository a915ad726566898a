"""Aliases: names for versions, which may share their invocations with another version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Request
from havre.kernel.resource import Kind, NoStatus
from havre.services.lambda_ import present, queries
from havre.services.lambda_.declare import LambdaOperations
from havre.services.lambda_.errors import conflict, invalid, stale
from havre.services.lambda_.paging import page
from havre.services.lambda_.resources import (
    ALIAS,
    EVENT_INVOKE,
    LATEST,
    PROVISIONED,
    AliasR,
    AliasSpec,
    FunctionR,
    qualified,
)
from havre.store.ports import Reader, Transaction

ops = LambdaOperations()
_MEMBERS = "FunctionName Name FunctionVersion Description RoutingConfig"


def _function(reader: Reader, call: Call, request: Request) -> FunctionR:
    return queries.function(reader, call.account, call.region, request["FunctionName"])


def weights(reader: Reader, function: FunctionR, version: str, given: Mapping[str, Any]) -> Mapping[str, float]:
    """Of a RoutingConfig; raises ApiError unless it is one other version that is there, and the alias names no $LATEST."""
    shares: Mapping[str, float] = given.get("AdditionalVersionWeights") or {}
    if len(shares) > 1:
        raise invalid("Number of items in AdditionalVersionWeights cannot be greater than 1")
    for other in shares:
        if other == version:
            raise invalid(
                f"Invalid function version {other}. Function version {other} is already included in routing configuration."
            )
        if version == LATEST:
            raise invalid("$LATEST is not supported for an alias pointing to more than 1 version")
        queries.record(reader, function, other)
    return dict(shares)


@ops.on("CreateAlias", _MEMBERS)
async def create_alias(call: Call, request: Request) -> Answer:
    name, version, revision = request["Name"], request["FunctionVersion"], call.world.uuid()

    def change(tx: Transaction) -> AliasR:
        function = queries.resolve(tx, call.account, call.region, request["FunctionName"], version).function
        m = function.meta
        arn = queries.function_arn(m.account, m.region, m.name, name)
        if tx.get(ALIAS, m.account, m.region, qualified(m.name, name)) is not None:
            raise conflict(f"Alias already exists: {arn}")
        shares = weights(tx, function, version, request.get("RoutingConfig") or {})
        spec = AliasSpec(m.name, name, version, revision, request.get("Description") or "", shares)
        return tx.create(
            ALIAS,
            account=m.account,
            region=m.region,
            name=qualified(m.name, name),
            arn=arn,
            spec=spec,
            status=NoStatus(),
        )

    return present.alias(await call.store.transact(change))


@ops.on("GetAlias", "FunctionName Name")
async def get_alias(call: Call, request: Request) -> Answer:
    return present.alias(queries.alias(call.store, _function(call.store, call, request), request["Name"]))


@ops.on("UpdateAlias", f"{_MEMBERS} RevisionId")
async def update_alias(call: Call, request: Request) -> Answer:
    revision = call.world.uuid()

    def change(tx: Transaction) -> AliasR:
        function = _function(tx, call, request)
        found = queries.alias(tx, function, request["Name"])
        if request.get("RevisionId") and request["RevisionId"] != found.spec.revision:
            raise stale()
        old = found.spec
        version = request.get("FunctionVersion") or old.version
        queries.record(tx, function, version)
        routing = request.get("RoutingConfig")
        given = {"AdditionalVersionWeights": dict(old.weights)} if routing is None else routing
        shares = weights(tx, function, version, given)
        description = request.get("Description", old.description)
        spec = replace(old, version=version, weights=shares, description=description, revision=revision)
        return tx.update(found, spec=spec)

    return present.alias(await call.store.transact(change))


@ops.on("DeleteAlias", "FunctionName Name")
async def delete_alias(call: Call, request: Request) -> Answer:
    """No error for an alias that is not there. What hangs on it goes with it, but for its URL, which nobody may use until
    there is an alias of that name again."""
    name = request["Name"]

    def change(tx: Transaction) -> None:
        function = _function(tx, call, request)
        m, whole = function.meta, qualified(function.meta.name, name)
        kinds: tuple[Kind[Any, Any], ...] = (ALIAS, EVENT_INVOKE, PROVISIONED)
        for kind in kinds:
            owned = tx.get(kind, m.account, m.region, whole)
            if owned is not None:
                tx.remove(owned)
        if name in function.spec.policies:
            policies = {q: p for q, p in function.spec.policies.items() if q != name}
            tx.update(function, spec=replace(function.spec, policies=policies))

    await call.store.transact(change)
    return {}


@ops.on("ListAliases", "FunctionName FunctionVersion Marker MaxItems")
async def list_aliases(call: Call, request: Request) -> Answer:
    wanted = request.get("FunctionVersion")
    every = queries.aliases(call.store, _function(call.store, call, request))
    found = [a for a in every if not wanted or wanted == a.spec.version or wanted in a.spec.weights]
    shown, marker = page(call, request, found, lambda a: a.spec.alias)
    return {"Aliases": [present.alias(a) for a in shown], "NextMarker": marker}
