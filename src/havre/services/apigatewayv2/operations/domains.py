"""Custom domain names, and what paths below them are mapped to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from havre.control.certificates.records import hold
from havre.control.operation import Answer, Call, Request
from havre.kernel.resource import NoStatus, scoped
from havre.services.apigatewayv2 import domains, store
from havre.services.apigatewayv2.declare import ApiOperations
from havre.services.apigatewayv2.errors import absent, bad, conflict
from havre.services.apigatewayv2.paging import page
from havre.services.apigatewayv2.resources import DOMAIN, MAPPING, STAGE, Domain, DomainSpec, Mapped, MappingSpec
from havre.store.ports import Transaction

ops = ApiOperations()
_ALL, _ONE = "/domainnames", "/domainnames/{DomainName}"
_MAPPINGS, _MAPPING = f"{_ONE}/apimappings", f"{_ONE}/apimappings/{{ApiMappingId}}"
_CONFIGURED = "DomainName DomainNameConfigurations RoutingMode"


def _check_mode(request: Request) -> None:
    if (request.get("RoutingMode") or "API_MAPPING_ONLY") != "API_MAPPING_ONLY":
        raise absent(f"the routing mode {request['RoutingMode']}")


@ops.on("CreateDomainName", _ALL, f"{_CONFIGURED} Tags")
async def create_domain_name(call: Call, request: Request) -> Answer:
    name = request["DomainName"]
    domains.check_name(name)
    _check_mode(request)
    certificate = domains.certificate(request.get("DomainNameConfigurations") or ())
    spec = DomainSpec(name, f"d-{store.fresh_id(call, 10)}", certificate, dict(request.get("Tags") or {}))

    def change(tx: Transaction) -> Domain:
        domains.check_certificate(call, tx, certificate, name)
        if tx.count(DOMAIN, "name", name):
            raise conflict("The domain name you provided already exists.")
        where = {"account": call.account, "region": call.region, "name": name}
        arn = f"arn:aws:apigateway:{call.region}::/domainnames/{name}"
        made = tx.create(DOMAIN, **where, arn=arn, spec=spec, status=NoStatus())
        hold(tx, made.meta.arn, made.meta.arn, [certificate])
        return made

    return domains.shown(call.store, await call.store.transact(change))


@ops.on("GetDomainName", _ONE)
async def get_domain_name(call: Call, request: Request) -> Answer:
    return domains.shown(call.store, domains.domain(call, request["DomainName"]))


@ops.on("GetDomainNames", _ALL, "MaxResults NextToken")
async def get_domain_names(call: Call, request: Request) -> Answer:
    shown, token = page(call, request, call.store.list(DOMAIN, call.account, call.region))
    return {"Items": [domains.shown(call.store, each) for each in shown], "NextToken": token}


@ops.on("UpdateDomainName", _ONE, _CONFIGURED)
async def update_domain_name(call: Call, request: Request) -> Answer:
    _check_mode(request)
    given = request.get("DomainNameConfigurations")
    certificate = domains.certificate(given) if given else ""

    def change(tx: Transaction) -> Domain:
        found = domains.domain(call, request["DomainName"], tx)
        if not certificate:
            return found
        domains.check_certificate(call, tx, certificate, found.spec.name)
        hold(tx, found.meta.arn, found.meta.arn, [certificate])
        return tx.update(found, spec=replace(found.spec, certificate=certificate))

    return domains.shown(call.store, await call.store.transact(change))


@ops.on("DeleteDomainName", _ONE)
async def delete_domain_name(call: Call, request: Request) -> Answer:
    """With its mappings."""

    def change(tx: Transaction) -> None:
        found = domains.domain(call, request["DomainName"], tx)
        for each in tx.find(MAPPING, "domain", found.spec.name):
            tx.remove(each)
        hold(tx, found.meta.arn, "", ())
        tx.remove(found)

    await call.store.transact(change)
    return None


def _check_mapping(call: Call, tx: Transaction, spec: MappingSpec) -> None:
    """The API and its stage are there, and the key is free. Raises NotFoundException, ConflictException."""
    domains.check_key(spec.key)
    store.part(call, STAGE, spec.api, spec.stage, tx)
    others = [each for each in tx.find(MAPPING, "domain", spec.domain) if each.spec.id != spec.id]
    if any(each.spec.key == spec.key for each in others):
        raise conflict("ApiMapping key already exists for this domain name")
    if len(others) >= domains.MOST_MAPPINGS:
        raise bad(f"A domain name can have at most {domains.MOST_MAPPINGS} API mappings")


@ops.on("CreateApiMapping", _MAPPINGS, "ApiId ApiMappingKey Stage")
async def create_api_mapping(call: Call, request: Request) -> Answer:
    domain, key = request["DomainName"], request.get("ApiMappingKey") or ""
    spec = MappingSpec(domain, store.fresh_id(call, 6), request["ApiId"], request["Stage"], key)

    def change(tx: Transaction) -> Mapped:
        found = domains.domain(call, domain, tx)
        _check_mapping(call, tx, spec)
        where = {"account": call.account, "region": call.region, "name": f"{domain}/{spec.id}"}
        arn = f"{found.meta.arn}/apimappings/{spec.id}"
        return tx.create(MAPPING, **where, arn=arn, spec=spec, status=NoStatus())

    return domains.shown_mapping(await call.store.transact(change))


@ops.on("GetApiMapping", _MAPPING)
async def get_api_mapping(call: Call, request: Request) -> Answer:
    return domains.shown_mapping(domains.mapping(call, request["DomainName"], request["ApiMappingId"]))


@ops.on("GetApiMappings", _MAPPINGS, "MaxResults NextToken")
async def get_api_mappings(call: Call, request: Request) -> Answer:
    found = domains.domain(call, request["DomainName"])
    shown, token = page(call, request, call.store.find(MAPPING, "domain", found.spec.name))
    return {"Items": [domains.shown_mapping(each) for each in shown], "NextToken": token}


@ops.on("UpdateApiMapping", _MAPPING, "ApiId ApiMappingKey Stage")
async def update_api_mapping(call: Call, request: Request) -> Answer:
    given: dict[str, Any] = {
        "api": request["ApiId"],
        "stage": request.get("Stage"),
        "key": request.get("ApiMappingKey"),
    }

    def change(tx: Transaction) -> Mapping[str, Any]:
        found = domains.mapping(call, request["DomainName"], request["ApiMappingId"], tx)
        spec = replace(found.spec, **{k: v for k, v in given.items() if v is not None})
        _check_mapping(call, tx, spec)
        return domains.shown_mapping(tx.update(found, spec=spec))

    return await call.store.transact(change)


@ops.on("DeleteApiMapping", _MAPPING)
async def delete_api_mapping(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        tx.remove(domains.mapping(call, request["DomainName"], request["ApiMappingId"], tx))

    await call.store.transact(change)
    return None


def check_unmapped(tx: Transaction, call: Call, api: str, stage: str = "") -> None:
    """Raises BadRequestException while a domain name is mapped to the API, or to this stage of it."""
    for each in tx.find(MAPPING, "api", scoped(call.account, call.region, api)):
        if not stage or each.spec.stage == stage:
            raise bad(
                "Deleting failed: please remove all API mappings of the API from your domain names first "
                f"(here {each.spec.domain})."
            )
