"""The gateway: the handlers that every request passes, in order, on this page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from havre.control.operation import Aws, Call, Operation, Principal, Request, Service
from havre.control.patient import patient
from havre.gateway.asgi import Front
from havre.gateway.audit import Audit
from havre.gateway.authorize import Authorize, Conditions, tagged
from havre.gateway.context import Context
from havre.gateway.faults import as_api_error, spell
from havre.gateway.identify import Identify
from havre.gateway.inprocess import InProcess, as_service_within, further, service_principal
from havre.gateway.ports import Asgi, Parts
from havre.gateway.refusals import seeming
from havre.gateway.sigv4 import Canonical, Denied, Signature
from havre.gateway.validate import validate
from havre.kernel.errors import ApiError, not_built
from havre.wire import codec
from havre.wire.http import HttpRequest, HttpResponse
from havre.wire.models import signing_names
from havre.wire.routing import Route, RouteError, Router


class Gateway:
    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._world = parts.world
        self._store = parts.store
        self._router = Router(parts.models, parts.services)
        self._identify = Identify(parts.site, parts.identities)
        self._authorize = Authorize(parts)
        self._audit = Audit(parts.trail)
        self._operations: dict[tuple[str, str], tuple[Service, Operation, str]] = {}
        """(service, name) → what is declared, and its IAM action."""
        self.asgi: Asgi = Front(self).asgi

    # The life of a request from outside

    async def serve(self, context: Context, request: HttpRequest, body: bytes) -> HttpResponse:
        """``context`` brings who claims to call (``claimed``); ``body`` is whole."""
        try:
            request.body = body
            self._route(context, request)
            request.body = self._prove(context, body)
            self._parse(context, request)
            self._check(context)
            self._quota(context)
            response = await self._respond(context, request)
        except Exception as fault:
            response = self._fault(context, fault)
        await self._audit.record(context)
        return response

    # The life of a call from inside: the same, without bytes and signatures

    async def call(self, context: Context, service: str, name: str, request: Request) -> Mapping[str, Any]:
        """Raises ApiError."""
        try:
            self._route_inside(context, service, name)
            validate(context.model, name, request)
            context.request = request
            self._check(context)
            self._quota(context)
            await self._dispatch(context)
        except Exception as fault:
            context.error = as_api_error(fault, context.protocol, service, context.request_id)
        await self._audit.record(context)
        if context.error is not None:
            raise context.error
        return context.answer or {}

    # The handlers

    def claim(self, request: Canonical) -> Signature | None:
        return self._identify.claim(request)

    def knows(self, claimed: Signature | None) -> bool:
        """Whether the claimed key is somebody's; the signature is not checked yet."""
        return self._identify.knows(claimed)

    def _route(self, context: Context, request: HttpRequest) -> None:
        """Which service, operation and protocol. Nothing is known of the sender yet, and nothing else is read."""
        scope = context.claimed.service if context.claimed is not None else None
        try:
            route = self._router.route(request, scope)
        except RouteError as unknown:
            context.protocol = seeming(request)
            if unknown.route is not None:
                self._follow(context, unknown.route)
            elif scope is not None and not any(scope in signing_names(s) or s == scope for s in self.parts.services):
                raise not_built(scope, "at all: the service is not there") from None
            raise
        self._follow(context, route)
        context.name = route.operation or ""

    def _prove(self, context: Context, body: bytes) -> bytes:
        """Who calls; gives the body as the service shall see it. Nobody calls what may come without a signature and does."""
        if context.claimed is None:
            declared = self.parts.services.get(context.service)
            if declared is not None and context.name in declared.unsigned:
                context.region = self.parts.site.region
                return body
        return self._identify.prove(context, context.http, body)

    def _follow(self, context: Context, route: Route) -> None:
        context.route = route
        context.service, context.protocol = route.service, route.protocol
        context.model = self.parts.models.service(route.service)
        context.source = context.model.signing_name

    def _route_inside(self, context: Context, service: str, name: str) -> None:
        context.model = self.parts.models.service(service)
        context.service, context.name = service, name
        context.protocol, context.source = context.model.protocol, context.model.signing_name
        self._look_up(context)

    def _look_up(self, context: Context) -> None:
        where = (context.service, context.name)
        found = self._operations.get(where)
        if found is None:
            declared = self.parts.services.get(context.service)
            operation = declared.operations.get(context.name) if declared is not None else None
            if declared is None or operation is None:
                raise not_built(*where)
            found = self._operations[where] = (declared, operation, f"{declared.iam_prefix}:{context.name}")
        context.declared, context.operation, context.action = found

    def _parse(self, context: Context, request: HttpRequest) -> None:
        self._look_up(context)
        context.request = codec.parse(context.model, context.route, request)

    def _check(self, context: Context) -> None:
        """IAM decides. The operation says on which resources, and which condition keys it brings."""
        operation, declared = context.operation, context.declared
        assert operation is not None and declared is not None
        call = context.call = self._call(context)
        action = operation.action if operation.action is not None else context.action
        if callable(action):
            action = action(call, context.request)
        if operation.resources is not None:
            context.resources = operation.resources(call, context.request)
        conditions = operation.conditions
        extra = None if conditions is None else partial(conditions, call, context.request)
        about = partial(operation.about, call) if operation.about else tagged(declared, call)
        self._authorize.check(context, action, context.resources, extra, about)
        if context.protocol == "ec2" and context.request.get("DryRun"):
            raise ApiError("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)

    def _quota(self, context: Context) -> None:
        operation = context.operation
        assert operation is not None
        taken = self.parts.throttle.take(context.account, context.region, context.service, operation)
        if not taken:
            words = "Request limit exceeded." if context.protocol == "ec2" else "Rate exceeded"
            raise spell("throttled", context.protocol, words, context.service)

    async def _respond(self, context: Context, request: HttpRequest) -> HttpResponse:
        assert context.call is not None and context.declared is not None
        passes = context.declared.passes
        passed = await passes(context.call, context.request, request) if passes is not None else None
        if passed is None:
            await self._dispatch(context)
            return codec.render(context.model, context.route, context.answer, context.request_id)
        context.answer, context.error = passed.answer, passed.error
        response: HttpResponse = passed.response
        return response

    async def _dispatch(self, context: Context) -> None:
        """What the operation saw is durable before anybody hears of it."""
        operation = context.operation
        assert operation is not None and context.call is not None
        context.answer = await operation.handler(context.call, context.request)
        await self._store.settled()

    def _fault(self, context: Context, fault: Exception) -> HttpResponse:
        context.error = error = as_api_error(fault, context.protocol, context.service, context.request_id)
        return codec.render_error(context.model, context.route, error, context.request_id, context.protocol)

    def _call(self, context: Context) -> Call:
        parts = self.parts
        return Call(
            context.service,
            context.name,
            context.account,
            context.region,
            context.principal,
            context.request_id,
            parts.site,
            parts.world,
            parts.store,
            parts.journal,
            patient(InProcess(self, context.principal, context.account, context.region, context)),
            partial(further, self._authorize, context),
            context.source_ip,
            context.user_agent,
            partial(as_service_within, self, context),
            context.trace,
            context.hung_up,
            context.origin,
            parts.metrics,
        )

    # For the other parts of the process

    def local(self, principal: Principal, account: str, region: str, trace: str = "") -> Aws:
        """AWS as ``principal`` sees it, in process: IAM decides, CloudTrail records."""
        return InProcess(self, principal, account, region, trace=trace)

    def as_service(self, service: str, account: str, region: str, source: str = "", trace: str = "") -> Aws:
        """``AsService`` (control/operation.py) in this account."""
        return InProcess(self, service_principal(service, account, region, source), account, region, trace=trace)

    def authorize(
        self,
        principal: Principal,
        region: str,
        action: str,
        resources: Sequence[str],
        conditions: Callable[[], Conditions] | None = None,
    ) -> None:
        """IAM's decision for what does not come through here (the registry). Raises ApiError AccessDeniedException."""
        context = Context("", self._world.now(), "", "")
        context.principal, context.account, context.region = principal, principal.account, region
        self._authorize.check(context, action, resources, conditions)

    def sender(self, request: Canonical, body: bytes, service: str) -> Principal:
        """Who signed a request that does not come through here, for the scope of ``service``. Raises ApiError."""
        context = Context("", self._world.now(), "", "")
        context.protocol, context.source = "rest-json", service
        try:
            context.claimed = self._identify.claim(request)
            self._identify.prove(context, request, body)
        except Denied as denied:
            raise as_api_error(denied, context.protocol, service, "") from None
        return context.principal

    def context(self, source_ip: str = "", user_agent: str = "") -> Context:
        return Context(self._world.uuid(), self._world.now(), source_ip, user_agent)

    async def close(self) -> None:
        """Keep what is queued."""
        await self.parts.trail.flush()
