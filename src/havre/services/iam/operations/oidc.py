"""OpenID Connect providers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.control.tags import shown as shown_tags
from havre.kernel.errors import ApiError
from havre.services.iam.common import NOTHING, arn_of, exists, no_such, over_quota, tags_of
from havre.services.iam.resources import OIDC, OidcProvider
from havre.store.ports import Transaction

ops = Operations()
_MOST_THUMBPRINTS = 5
_MOST_CLIENTS = 100


def _name(arn: str) -> str:
    return arn.split(":oidc-provider/", 1)[-1]


def _oidc_arns(call: Call, request: Request) -> Sequence[str]:
    return (request["OpenIDConnectProviderArn"],)


@ops("CreateOpenIDConnectProvider")
async def create_oidc(call: Call, request: Request) -> Answer:
    url = request["Url"]
    if not url.startswith("https://"):
        raise ApiError("ValidationError", "Invalid Open ID Connect Provider URL")
    name = url.removeprefix("https://").rstrip("/")
    clients, prints = _clients(request.get("ClientIDList", ())), _thumbprints(request.get("ThumbprintList", ()))
    spec = OidcProvider(name, clients, prints, tags_of(request.get("Tags", ())))
    arn = arn_of(call, "oidc-provider", name)

    def change(tx: Transaction) -> None:
        if tx.get(OIDC, call.account, "", name) is not None:
            raise exists(f"Provider with url {url} already exists.")
        tx.create(OIDC, account=call.account, region="", name=name, arn=arn, spec=spec, status=NOTHING)

    await call.store.transact(change)
    return {"OpenIDConnectProviderArn": arn, "Tags": request.get("Tags", [])}


def _thumbprints(given: Sequence[str]) -> tuple[str, ...]:
    if len(given) > _MOST_THUMBPRINTS:
        raise ApiError("InvalidInput", f"Thumbprint list must contain fewer than {_MOST_THUMBPRINTS} entries.")
    if any(not re.fullmatch(r"[0-9a-fA-F]{40}", p) for p in given):
        raise ApiError("InvalidInput", "Thumbprint must be a 40-character hex SHA-1 hash.")
    return tuple(given)


def _clients(given: Sequence[str]) -> tuple[str, ...]:
    if len(given) > _MOST_CLIENTS:
        raise over_quota("ClientIdsPerOpenIdConnectProvider", _MOST_CLIENTS)
    return tuple(given)


def _oidc(call: Call, arn: str) -> Any:
    found = call.store.get(OIDC, call.account, "", _name(arn))
    if found is None:
        raise no_such(f"OpenIDConnect Provider not found for arn {arn}")
    return found


@ops("GetOpenIDConnectProvider", resources=_oidc_arns)
async def get_oidc(call: Call, request: Request) -> Answer:
    found = _oidc(call, request["OpenIDConnectProviderArn"])
    return {
        "Url": found.spec.url,
        "ClientIDList": list(found.spec.clients),
        "ThumbprintList": list(found.spec.thumbprints),
        "CreateDate": found.meta.created,
        "Tags": shown_tags(found.spec.tags),
    }


@ops("ListOpenIDConnectProviders")
async def list_oidc(call: Call, request: Request) -> Answer:
    return {"OpenIDConnectProviderList": [{"Arn": r.meta.arn} for r in call.store.list(OIDC, call.account, "")]}


@ops("UpdateOpenIDConnectProviderThumbprint", resources=_oidc_arns)
async def update_oidc_thumbprint(call: Call, request: Request) -> Answer:
    prints = _thumbprints(request["ThumbprintList"])

    def change(tx: Transaction) -> None:
        found = _oidc(call, request["OpenIDConnectProviderArn"])
        tx.update(found, spec=replace(found.spec, thumbprints=prints))

    await call.store.transact(change)
    return None


@ops("AddClientIDToOpenIDConnectProvider", resources=_oidc_arns)
async def add_client(call: Call, request: Request) -> Answer:
    await _change_client(call, request, add=True)
    return None


@ops("RemoveClientIDFromOpenIDConnectProvider", resources=_oidc_arns)
async def remove_client(call: Call, request: Request) -> Answer:
    await _change_client(call, request, add=False)
    return None


async def _change_client(call: Call, request: Request, *, add: bool) -> None:
    def change(tx: Transaction) -> None:
        found = _oidc(call, request["OpenIDConnectProviderArn"])
        left = tuple(c for c in found.spec.clients if c != request["ClientID"])
        clients = _clients((*left, request["ClientID"])) if add else left
        tx.update(found, spec=replace(found.spec, clients=clients))

    await call.store.transact(change)


@ops("DeleteOpenIDConnectProvider", resources=_oidc_arns)
async def delete_oidc(call: Call, request: Request) -> Answer:
    arn = request["OpenIDConnectProviderArn"]

    def change(tx: Transaction) -> None:
        found = tx.get(OIDC, call.account, "", _name(arn))
        if found is None:
            raise no_such(f"OpenId connect Provider {arn} cannot be found.")
        tx.remove(found)

    await call.store.transact(change)
    return None
