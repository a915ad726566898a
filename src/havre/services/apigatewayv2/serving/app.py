"""The door: a request for an API, from its bytes to its answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from havre.control.asgi import as_asked, read, send
from havre.control.deps import ReconcilerDeps
from havre.core.http_events import Asked, HttpAnswer, Place
from havre.services.apigatewayv2.resources import Api, Part
from havre.services.apigatewayv2.serving import cors
from havre.services.apigatewayv2.serving.access import Authorizers, route_arn
from havre.services.apigatewayv2.serving.buckets import Buckets
from havre.services.apigatewayv2.serving.deployed import Deployed, Shelf
from havre.services.apigatewayv2.serving.integrations import Integrations, told

MOST = 10 << 20
"""Bytes of a request's body."""
NOT_FOUND, FORBIDDEN = told(404, "Not Found"), told(403, "Forbidden")
UNAUTHORIZED, TOO_MANY = told(401, "Unauthorized"), told(429, "Too Many Requests")
TOO_LARGE, FAULT = told(413, "Request Entity Too Large"), told(500, "Internal Server Error")
_REFUSALS = {401: UNAUTHORIZED, 403: FORBIDDEN, 500: FAULT}


class HttpApis:
    def __init__(self, deps: ReconcilerDeps) -> None:
        self._world = deps.world
        self._shelf = Shelf(deps.store)
        self._authorizers = Authorizers(deps)
        self._integrations = Integrations(deps)
        self._buckets = Buckets(deps.world.now)

    async def asgi(self, scope: Any, receive: Any, send_: Any) -> None:
        body = await read(receive, MOST)
        asked = as_asked(scope, body or b"", self._world.now())
        api = self._shelf.api(asked.host.partition(".")[0].lower())
        id = self._world.uuid()
        if body is None:
            answer = TOO_LARGE
        elif api is None or api.spec.members.get("DisableExecuteApiEndpoint"):
            answer = FORBIDDEN
        else:
            answer = await self._answer(api, asked, id)
        headers = (*answer.headers, ("apigw-requestid", id))
        await send(send_, HttpAnswer(answer.status, headers, answer.body), asked.method == "HEAD")

    async def _answer(self, api: Api, asked: Asked, id: str) -> HttpAnswer:
        rules = api.spec.members.get("CorsConfiguration")
        if rules:
            early = cors.preflight(asked, rules)
            if early is not None:
                return early
        stage, path = self._shelf.stage(api, asked.path)
        deployed = self._shelf.deployed(stage) if stage is not None else None
        if stage is None or deployed is None:
            return NOT_FOUND
        answer = await self._served(api, stage, deployed, asked, (path, id))
        if not rules:
            return answer
        return HttpAnswer(answer.status, (*cors.without(answer), *cors.allowed(asked, rules)), answer.body)

    async def _served(
        self, api: Api, stage: Part, deployed: Deployed, asked: Asked, request: tuple[str, str]
    ) -> HttpAnswer:
        path, id = request
        taken = deployed.take(asked.method, path)
        if taken is None:
            return NOT_FOUND
        if not self._buckets.take((api.spec.id, stage.spec.id, taken.key), _limits(stage, taken.key)):
            return TOO_MANY
        route = deployed.route(taken.key)
        variables = stage.spec.members.get("StageVariables") or {}
        place = Place(api.spec.id, api.meta.account, id, taken.key, stage.spec.id, taken.parameters, variables)
        if route.get("AuthorizationType") == "CUSTOM":
            authorizer = deployed.authorizer(route)
            if authorizer is None:
                return FAULT
            verdict = await self._authorizers.ask(api, authorizer, asked, place, route_arn(api, place, asked))
            if verdict.status != 200:
                return _REFUSALS[verdict.status]
            place = _let_in(place, deployed.integration(route), verdict.context)
        integration = deployed.integration(route)
        if integration is None:
            return NOT_FOUND
        return await self._integrations.answer(api, integration, asked, place)


def _let_in(place: Place, integration: Mapping[str, Any] | None, context: Mapping[str, Any]) -> Place:
    second = integration is not None and integration["PayloadFormatVersion"] == "2.0"
    return replace(place, authorizer={"lambda": dict(context)} if second else dict(context))


def _limits(stage: Part, key: str) -> tuple[float, float] | None:
    """(burst, a second) of a route in this stage; None: as many as come."""
    members = stage.spec.members
    own = (members.get("RouteSettings") or {}).get(key) or {}
    usual = members.get("DefaultRouteSettings") or {}
    given = [own.get(member, usual.get(member)) for member in ("ThrottlingBurstLimit", "ThrottlingRateLimit")]
    numbers = [float(each) for each in given if each is not None]
    return (numbers[0], numbers[-1]) if numbers else None
