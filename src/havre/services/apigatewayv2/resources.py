"""HTTP APIs and their parts as they are stored: AWS's members, as they were checked when they came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from havre.control.interfaces import Attached
from havre.kernel.resource import Kind, NoStatus, Resource, scoped


class ApiSpec(msgspec.Struct, frozen=True):
    """``members`` by their names in AWS's shapes."""

    id: str
    members: Mapping[str, Any]
    tags: Mapping[str, str] = {}


class PartSpec(msgspec.Struct, frozen=True):
    """A route, integration, authorizer, deployment or stage of the API ``api``. ``managed``: the API made it by itself.
    Times are in the record's meta; ``tags`` are stages' alone."""

    api: str
    id: str
    members: Mapping[str, Any]
    managed: bool = False
    tags: Mapping[str, str] = {}


class DomainSpec(msgspec.Struct, frozen=True):
    """A custom domain name, which may be a wildcard. ``id`` is the first label of the host name behind it (``d-…``)."""

    name: str
    id: str
    certificate: str
    tags: Mapping[str, str] = {}


class MappingSpec(msgspec.Struct, frozen=True):
    """Requests for ``domain`` below ``key`` ("" all others) are the stage's. ``key`` has no slash at its ends."""

    domain: str
    id: str
    api: str
    stage: str
    key: str = ""


class LinkSpec(msgspec.Struct, frozen=True):
    """A VPC link: what integrations reach load balancers in ``vpc`` by. ``groups`` as they were given."""

    id: str
    name: str
    vpc: str
    subnets: tuple[str, ...]
    groups: tuple[str, ...] = ()
    tags: Mapping[str, str] = {}


class LinkStatus(msgspec.Struct, frozen=True):
    """``failure``: why an interface cannot be made ("" while nothing is wrong)."""

    interfaces: tuple[Attached, ...] = ()
    failure: str = ""


Api: TypeAlias = Resource[ApiSpec, NoStatus]
Part: TypeAlias = Resource[PartSpec, NoStatus]
Domain: TypeAlias = Resource[DomainSpec, NoStatus]
Mapped: TypeAlias = Resource[MappingSpec, NoStatus]
Link: TypeAlias = Resource[LinkSpec, LinkStatus]


def _of_api(part: Part) -> str:
    return scoped(part.meta.account, part.meta.region, part.spec.api)


def _kind(name: str) -> Kind[PartSpec, NoStatus]:
    return Kind(f"apigateway.{name}", PartSpec, NoStatus, {"api": _of_api})


API: Kind[ApiSpec, NoStatus] = Kind("apigateway.api", ApiSpec, NoStatus, {"id": lambda api: api.spec.id})
ROUTE, INTEGRATION, AUTHORIZER = _kind("route"), _kind("integration"), _kind("authorizer")
DEPLOYMENT, STAGE = _kind("deployment"), _kind("stage")
PARTS = (ROUTE, INTEGRATION, AUTHORIZER, DEPLOYMENT, STAGE)
DOMAIN: Kind[DomainSpec, NoStatus] = Kind("apigateway.domain", DomainSpec, NoStatus, {"name": lambda r: r.spec.name})
MAPPING: Kind[MappingSpec, NoStatus] = Kind(
    "apigateway.mapping",
    MappingSpec,
    NoStatus,
    {"domain": lambda r: r.spec.domain, "api": lambda r: scoped(r.meta.account, r.meta.region, r.spec.api)},
)
LINK: Kind[LinkSpec, LinkStatus] = Kind("apigateway.vpclink", LinkSpec, LinkStatus)
KINDS = (API, *PARTS, DOMAIN, MAPPING, LINK)
