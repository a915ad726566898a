"""ELB's records. Operations write specs; the reconciler of load balancers writes their status.

A resource is named by what stands behind its kind in the ARN: ``name/0123…`` for load balancers and target groups,
``name/0123…/4567…`` for listeners, with one more id for rules. Lists of actions and conditions are kept as records, so
that what was asked for is shown again as AWS shows it.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from havre.control.interfaces import Attached
from havre.kernel.resource import Kind, NoStatus, Resource, scoped


class Placement(msgspec.Struct, frozen=True):
    """One subnet of a load balancer, with the address that was asked for in it ("" for any)."""

    subnet: str
    zone: str
    address: str = ""


class LoadBalancerSpec(msgspec.Struct, frozen=True):
    name: str
    id: str
    type: str
    scheme: str
    vpc: str
    placements: tuple[Placement, ...]
    security_groups: tuple[str, ...]
    dns_name: str
    host_address: str
    attributes: Mapping[str, str] = {}
    """Those that differ from the default."""
    tags: Mapping[str, str] = {}


class LoadBalancerStatus(msgspec.Struct, frozen=True):
    interfaces: tuple[Attached, ...] = ()


class HealthCheckSpec(msgspec.Struct, frozen=True):
    """``port`` is ``traffic-port`` or a number; times in seconds."""

    protocol: str
    path: str = "/"
    port: str = "traffic-port"
    interval: int = 30
    timeout: int = 5
    healthy: int = 5
    unhealthy: int = 2
    matcher: str = "200"


GRPC = "GRPC"
"""The protocol version whose health checks have codes of their own."""
FUNCTION = "lambda"
"""The type of target groups that are answered by a function: its ARN is their one target's id."""


class Target(msgspec.Struct, frozen=True):
    """``vpc`` "" when the address lies outside the group's VPC. ``draining`` is when deregistration was asked for, and
    ``leaves`` when the target is gone (seconds since the epoch)."""

    id: str
    port: int
    zone: str = ""
    vpc: str = ""
    draining: float | None = None
    leaves: float | None = None

    @property
    def key(self) -> str:
        return f"{self.id}:{self.port}"


class TargetGroupSpec(msgspec.Struct, frozen=True):
    name: str
    id: str
    protocol: str
    protocol_version: str
    port: int
    vpc: str
    target_type: str
    check: HealthCheckSpec
    targets: tuple[Target, ...] = ()
    attributes: Mapping[str, str] = {}
    tags: Mapping[str, str] = {}

    @property
    def pool(self) -> str:
        """Its name on a node."""
        return f"{self.name}-{self.id}"


class Action(msgspec.Struct, frozen=True):
    """``kind`` as AWS's Type. ``groups``: (ARN, weight). ``redirect`` by AWS's member names."""

    kind: str
    groups: tuple[tuple[str, int], ...] = ()
    sticky: int = 0
    redirect: Mapping[str, str] = {}
    status: str = ""
    content_type: str = ""
    body: str | None = None
    order: int | None = None


class Condition(msgspec.Struct, frozen=True):
    """``values``: for query strings (key, value) with "" for any key, otherwise (value, "")."""

    field: str
    values: tuple[tuple[str, str], ...]
    header: str = ""


class Revocation(msgspec.Struct, frozen=True):
    """A list of revocations: its PEM text, and how many entries it has."""

    id: int
    text: str
    entries: int


class TrustStoreSpec(msgspec.Struct, frozen=True):
    """``authorities`` are ``count`` certificates as PEM. ``last``: the highest id of a revocation that there was."""

    name: str
    authorities: str
    count: int
    revocations: tuple[Revocation, ...] = ()
    last: int = 0
    tags: Mapping[str, str] = {}


class Mutual(msgspec.Struct, frozen=True):
    """How clients show certificates. ``mode``: passthrough or verify; the others of verify only."""

    mode: str
    trust_store: str = ""
    ignore_expiry: bool = False
    advertise: bool = False


class ListenerSpec(msgspec.Struct, frozen=True):
    """``policy``, ``certificate`` (the ARN of the default one), ``more_certificates`` and ``mutual`` of HTTPS listeners
    only."""

    balancer: str
    port: int
    protocol: str
    tags: Mapping[str, str] = {}
    policy: str = ""
    certificate: str = ""
    more_certificates: tuple[str, ...] = ()
    mutual: Mutual | None = None
    attributes: Mapping[str, str] = {}
    """Those that differ from the default."""


class RuleSpec(msgspec.Struct, frozen=True):
    """``priority`` 0 is the default rule of its listener, which is tried last."""

    balancer: str
    listener: str
    priority: int
    conditions: tuple[Condition, ...]
    action: Action
    tags: Mapping[str, str] = {}


def _named(r: Resource[LoadBalancerSpec, LoadBalancerStatus] | Resource[TargetGroupSpec, NoStatus]) -> str | None:
    return None if r.meta.deleting else scoped(r.meta.account, r.meta.region, r.spec.name)


LOAD_BALANCER: Kind[LoadBalancerSpec, LoadBalancerStatus] = Kind(
    "elbv2.load_balancer",
    LoadBalancerSpec,
    LoadBalancerStatus,
    {"name": _named, "host": lambda r: r.spec.host_address, "vpc": lambda r: r.spec.vpc},
)
TARGET_GROUP: Kind[TargetGroupSpec, NoStatus] = Kind("elbv2.target_group", TargetGroupSpec, NoStatus, {"name": _named})
LISTENER: Kind[ListenerSpec, NoStatus] = Kind(
    "elbv2.listener",
    ListenerSpec,
    NoStatus,
    {
        "balancer": lambda r: scoped(r.meta.account, r.meta.region, r.spec.balancer),
        "trust": lambda r: (r.spec.mutual.trust_store or None) if r.spec.mutual is not None else None,
    },
)
TRUST_STORE: Kind[TrustStoreSpec, NoStatus] = Kind(
    "elbv2.trust_store",
    TrustStoreSpec,
    NoStatus,
    {"name": lambda r: scoped(r.meta.account, r.meta.region, r.spec.name)},
)
RULE: Kind[RuleSpec, NoStatus] = Kind(
    "elbv2.rule",
    RuleSpec,
    NoStatus,
    {
        "listener": lambda r: scoped(r.meta.account, r.meta.region, r.spec.listener),
        "balancer": lambda r: scoped(r.meta.account, r.meta.region, r.spec.balancer),
        "group": lambda r: tuple(arn for arn, _ in r.spec.action.groups),
    },
)
KINDS = (LOAD_BALANCER, TARGET_GROUP, LISTENER, RULE, TRUST_STORE)

LoadBalancerR = Resource[LoadBalancerSpec, LoadBalancerStatus]
TargetGroupR = Resource[TargetGroupSpec, NoStatus]
ListenerR = Resource[ListenerSpec, NoStatus]
RuleR = Resource[RuleSpec, NoStatus]
TrustStoreR = Resource[TrustStoreSpec, NoStatus]
