"""What a load balancer is asked to be, and what was seen of its targets."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class BalancerTarget(msgspec.Struct, frozen=True):
    """``vpc`` is the VPC that the address lies in, "" for the host's own network. ``draining`` gets no new work."""

    id: str
    address: str
    port: int
    vpc: str = ""
    weight: int = 1
    draining: bool = False


class BalancerHealthCheck(msgspec.Struct, frozen=True):
    """``matcher`` is AWS's (``200``, ``200-299``, ``200,202``). ``port`` 0 means the target's. ``version``: HTTP1, HTTP2,
    GRPC, whose codes the matcher has then."""

    protocol: str = "HTTP"
    path: str = "/"
    port: int = 0
    interval: float = 30
    timeout: float = 5
    healthy: int = 5
    unhealthy: int = 2
    matcher: str = "200"
    enabled: bool = True
    version: str = "HTTP1"


class BalancerPool(msgspec.Struct, frozen=True):
    """A target group. ``algorithm``: round_robin, least_outstanding_requests. ``sticky`` is the duration of the cookie in
    seconds (0 off), ``sticky_cookie`` the application's cookie ("" for the balancer's own). ``function``: the ARN of a
    target group that is answered by a function, which the server invokes; it has no targets. ``version``: HTTP1, HTTP2,
    GRPC."""

    id: str
    protocol: str
    targets: tuple[BalancerTarget, ...] = ()
    health_check: BalancerHealthCheck = BalancerHealthCheck()
    algorithm: str = "round_robin"
    sticky: int = 0
    sticky_cookie: str = ""
    deregistration_delay: float = 300
    slow_start: float = 0
    function: str = ""
    version: str = "HTTP1"


class BalancerCondition(msgspec.Struct, frozen=True):
    """``field``: path-pattern, host-header, http-header, http-request-method, query-string, source-ip. ``name`` is the
    header's name; query values are ``key=value`` or ``value`` with wildcards."""

    field: str
    values: tuple[str, ...]
    name: str = ""


class BalancerAction(msgspec.Struct, frozen=True):
    """``kind``: forward (``pools`` with weights), redirect, fixed-response."""

    kind: str
    pools: tuple[tuple[str, int], ...] = ()
    sticky: int = 0
    redirect: Mapping[str, str] = {}
    status: int = 0
    content_type: str = ""
    body: str = ""


class BalancerRule(msgspec.Struct, frozen=True):
    """Rules are in the order in which they are tried; the last one has no conditions."""

    id: str
    conditions: tuple[BalancerCondition, ...]
    action: BalancerAction


class BalancerTls(msgspec.Struct, frozen=True):
    """``oldest`` and ``newest``: TLSv1, TLSv1.1, TLSv1.2, TLSv1.3. ``ciphers`` by OpenSSL's names, in the order of
    preference; ``suites`` are TLS 1.3's."""

    oldest: str = "TLSv1.2"
    newest: str = "TLSv1.3"
    ciphers: tuple[str, ...] = ()
    suites: tuple[str, ...] = ()


class BalancerMutual(msgspec.Struct, frozen=True):
    """Clients show certificates. ``mode``: passthrough (any, or none) or verify: one that comes from ``authorities`` (PEM)
    and is on none of the ``revocations`` (PEM). ``expired``: also one that has expired. ``advertised``: clients are told
    which authorities are trusted."""

    mode: str
    authorities: str = ""
    revocations: tuple[str, ...] = ()
    expired: bool = False
    advertised: bool = False


class BalancerListener(msgspec.Struct, frozen=True):
    """``certificates`` are PEM texts (key and chain), the default one first; ``names`` the host names that they are for.
    ``clients``: the blocks that its security groups let in where balancers share an address, which no packet filter can
    tell apart (None: everybody). ``headers`` are set in every answer; ``nameless``: answers do not
    name the server that they come from."""

    id: str
    port: int
    protocol: str
    rules: tuple[BalancerRule, ...]
    certificates: tuple[str, ...] = ()
    clients: tuple[str, ...] | None = None
    tls: BalancerTls = BalancerTls()
    names: tuple[str, ...] = ()
    mutual: BalancerMutual | None = None
    headers: tuple[tuple[str, str], ...] = ()
    nameless: bool = False

    def __repr__(self) -> str:
        return f"BalancerListener({self.id!r}, {self.port}, {self.protocol!r}, {self.rules!r}, names={self.names!r})"


class Balancer(msgspec.Struct, frozen=True):
    """A whole load balancer as a node runs it. ``addresses``: (VPC subnet id, address in it) of its interfaces;
    ``host_address`` is its loopback address on this machine. ``dns_name`` resolves to the one or the others. ``kind``:
    application, or LINK."""

    id: str
    dns_name: str
    vpc: str
    addresses: tuple[tuple[str, str], ...]
    host_address: str
    security_groups: tuple[str, ...] = ()
    listeners: tuple[BalancerListener, ...] = ()
    pools: tuple[BalancerPool, ...] = ()
    idle_timeout: float = 60
    kind: str = "application"
    attributes: Mapping[str, str] = {}
    inner_address: str = ""
    """Where containers on the machine's bridge reach it; the node says, "" where they do not."""


class TargetHealth(msgspec.Struct, frozen=True):
    """``state``: initial, healthy, unhealthy, draining, unavailable, unused; ``reason`` as AWS codes it."""

    pool: str
    target: str
    state: str
    reason: str = ""
    description: str = ""


LINK = "link"
"""The kind of a way into a VPC for the server alone: each of its listeners, which speak TCP, answers at a Unix socket of the
proxy's, which the listener's id names (``<id>.sock``), and nowhere else."""


class BalancerStatus(msgspec.Struct, frozen=True):
    """``state``: provisioning, active, active_impaired, failed, with the reason in words."""

    id: str
    state: str
    reason: str = ""
    targets: tuple[TargetHealth, ...] = ()
    host_ports: tuple[int, ...] = ()
    """Listener ports that answer on ``host_address``."""


class PoolTraffic(msgspec.Struct, frozen=True, array_like=True):
    """Of a pool, since its proxy began. ``answered`` counts what targets answered, by hundreds: 2xx, 3xx, 4xx, 5xx;
    ``refused`` (4xx) and ``failed`` (5xx) what the balancer answered in their place."""

    requests: int = 0
    answered: tuple[int, int, int, int] = (0, 0, 0, 0)
    refused: int = 0
    failed: int = 0
