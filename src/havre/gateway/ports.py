"""What the gateway is put together from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Protocol

import msgspec

from havre.control.metrics import UNMETERED, Metrics
from havre.control.operation import Principal, Service, Site
from havre.core.policy import Policy
from havre.gateway.throttle import Throttle
from havre.kernel.world import World
from havre.services.cloudtrail.trail import Trail
from havre.services.iam.directory import Credential, Granted
from havre.store.ports import Journal, Store
from havre.wire.http import HttpRequest, HttpResponse
from havre.wire.models import ModelSource

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

ResourcePolicy = Callable[[Store, str], str | None]
"""(store, ARN) → the policy document on that resource, None when there is none."""


ResourceOwner = Callable[[Store, str], str]
"""(store, ARN) → the account whose it is, of services whose ARNs do not tell (S3); "" when there is no such resource."""


Preflight = Callable[[HttpRequest], Awaitable[HttpResponse | None]]
"""Answers what browsers ask before a request (CORS), which nobody signs; None when it is none of its business."""


class Identities(Protocol):
    def credential(self, access_key: str, token: str = "") -> Credential | None: ...


class Policies(Protocol):
    def grants(self, principal: Principal) -> Granted: ...

    def resource_policy(self, text: str) -> Policy: ...

    def trust(self, arn: str) -> Policy | None: ...


class Parts(msgspec.Struct, frozen=True):
    """``services`` by botocore's name. ``resource_policies`` and ``resource_owners`` by the service part of an ARN.
    ``internal``: path below ``/_havre/`` → ASGI application; ``registry`` serves ``/v2/``; ``hosts``: second label of a
    host name → what answers to
    ``<anything>.<label>.<region>.<domain>`` (function URLs, HTTP APIs)."""

    site: Site
    world: World
    store: Store
    journal: Journal
    models: ModelSource
    services: Mapping[str, Service]
    identities: Identities
    policies: Policies
    trail: Trail
    throttle: Throttle
    resource_policies: Mapping[str, ResourcePolicy] = {}
    resource_owners: Mapping[str, ResourceOwner] = {}
    internal: Mapping[str, Asgi] = {}
    registry: Asgi | None = None
    hosts: Mapping[str, Asgi] = {}
    preflight: Preflight | None = None
    sockets: Mapping[str, Asgi] = {}
    """Beginning of a path → who serves WebSockets there."""
    metrics: Metrics = UNMETERED
