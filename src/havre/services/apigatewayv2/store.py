"""Reads and writes that operations share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Call
from havre.kernel.resource import Kind, NoStatus, scoped
from havre.services.apigatewayv2.errors import not_found
from havre.services.apigatewayv2.resources import (
    API,
    AUTHORIZER,
    DEPLOYMENT,
    INTEGRATION,
    ROUTE,
    STAGE,
    Api,
    Part,
    PartSpec,
)
from havre.store.ports import Reader, Transaction

_ID = "abcdefghijklmnopqrstuvwxyz0123456789"


def fresh_id(call: Call, length: int) -> str:
    """As AWS's: lower-case letters and digits."""
    return "".join(_ID[int(pair, 16) % len(_ID)] for pair in _pairs(call.world.hex(2 * length)))


def _pairs(text: str) -> Sequence[str]:
    return [text[n : n + 2] for n in range(0, len(text), 2)]


def api(call: Call, id: str, reader: Reader | None = None) -> Api:
    """Raises NotFoundException."""
    found = (reader or call.store).get(API, call.account, call.region, id)
    if found is None:
        raise not_found(f"Invalid API identifier specified {call.account}:{id}")
    return found


def part(call: Call, kind: Kind[PartSpec, NoStatus], api_id: str, id: str, reader: Reader | None = None) -> Part:
    """Raises NotFoundException, of the API as well."""
    api(call, api_id, reader)
    found = (reader or call.store).get(kind, call.account, call.region, name(api_id, id))
    if found is None:
        noun = kind.name.rpartition(".")[2].capitalize()
        raise not_found(
            f"Invalid {noun} identifier specified {id}"
            if noun != "Stage"
            else f"Invalid stage identifier specified {id}"
        )
    return found


def parts(reader: Reader, kind: Kind[PartSpec, NoStatus], found: Api) -> Sequence[Part]:
    return reader.find(kind, "api", scoped(found.meta.account, found.meta.region, found.spec.id))


def name(api_id: str, id: str) -> str:
    return f"{api_id}/{id}"


def create(tx: Transaction, call: Call, kind: Kind[PartSpec, NoStatus], spec: PartSpec) -> Part:
    """Raises Conflict."""
    path = f"/apis/{spec.api}/{kind.name.rpartition('.')[2]}s/{spec.id}"
    return tx.create(
        kind,
        account=call.account,
        region=call.region,
        name=name(spec.api, spec.id),
        arn=f"arn:aws:apigateway:{call.region}::{path}",
        spec=spec,
        status=NoStatus(),
    )


def deploy(tx: Transaction, call: Call, found: Api, description: str = "", *, automatic: bool = False) -> Part:
    """A snapshot of what the API is now."""
    members: dict[str, Any] = {"Description": description, "AutoDeployed": automatic}
    for kind in (ROUTE, INTEGRATION, AUTHORIZER):
        members[kind.name] = {each.spec.id: dict(each.spec.members) for each in parts(tx, kind, found)}
    return create(tx, call, DEPLOYMENT, PartSpec(found.spec.id, fresh_id(call, 6), members))


def redeploy(tx: Transaction, call: Call, found: Api) -> None:
    """After a change: stages that deploy by themselves have it at once."""
    for stage in parts(tx, STAGE, found):
        if not stage.spec.members.get("AutoDeploy"):
            continue
        before = stage.spec.members.get("DeploymentId", "")
        made = deploy(
            tx, call, found, "Automatic deployment triggered by changes to the Api configuration", automatic=True
        )
        tx.update(stage, spec=replace(stage.spec, members={**stage.spec.members, "DeploymentId": made.spec.id}))
        old = tx.get(DEPLOYMENT, call.account, call.region, name(found.spec.id, before))
        if old is not None and old.spec.members.get("AutoDeployed"):
            tx.remove(old)


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """PATCH: what was not given stays; an empty text takes a member away."""
    result = {**old, **new}
    return {key: value for key, value in result.items() if value != ""}
