"""One request for an API on its way: stage, route, throttle, authorizer, integration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from havre.core import cors
from havre.core.http_events import HttpAnswer, Place
from havre.services.apigatewayv2.resources import Part
from havre.services.apigatewayv2.serving.access import Access, Route
from havre.services.apigatewayv2.serving.buckets import Buckets
from havre.services.apigatewayv2.serving.deployed import Deployed, Shelf
from havre.services.apigatewayv2.serving.integrations import Integrations, told
from havre.services.apigatewayv2.serving.story import Story
from havre.services.apigatewayv2.serving.verdict import Verdict

NOT_FOUND, FORBIDDEN = told(404, "Not Found"), told(403, "Forbidden")
TOO_MANY, FAULT = told(429, "Too Many Requests"), told(500, "Internal Server Error")
_REFUSALS = {401: told(401, "Unauthorized"), 403: FORBIDDEN, 500: FAULT}


class Parts(msgspec.Struct, frozen=True):
    """What requests are served with."""

    shelf: Shelf
    access: Access
    integrations: Integrations
    buckets: Buckets


class Request:
    """Fills in ``story`` as it goes."""

    def __init__(self, parts: Parts, story: Story) -> None:
        self._parts = parts
        self._story = story

    async def answer(self) -> HttpAnswer:
        story = self._story
        path = story.asked.path
        if not story.mapped:
            story.stage, path = self._parts.shelf.stage(story.api, path)
        story.path = path
        rules = _cors(story.api.spec.members.get("CorsConfiguration"))
        if rules is None:
            return await self._found(path)
        early = cors.preflight(story.asked, rules)
        if early is not None:
            return HttpAnswer(204, early, b"")
        answer = await self._found(path)
        return HttpAnswer(
            answer.status, (*cors.without(answer.headers), *cors.allowed(story.asked, rules)), answer.body
        )

    async def _found(self, path: str) -> HttpAnswer:
        stage = self._story.stage
        deployed = self._parts.shelf.deployed(stage) if stage is not None else None
        if stage is None or deployed is None:
            return self._refuse(NOT_FOUND)
        return await self._served(stage, deployed, path)

    def _refuse(self, answer: HttpAnswer) -> HttpAnswer:
        self._story.refusal = answer
        return answer

    async def _served(self, stage: Part, deployed: Deployed, path: str) -> HttpAnswer:
        story, api = self._story, self._story.api
        taken = deployed.take(story.asked.method, path)
        if taken is None:
            return self._refuse(NOT_FOUND)
        variables = stage.spec.members.get("StageVariables") or {}
        place = Place(api.spec.id, api.meta.account, story.id, taken.key, stage.spec.id, taken.parameters, variables)
        story.place = place
        if not self._parts.buckets.take((api.spec.id, stage.spec.id, taken.key), _limits(stage, taken.key)):
            return self._refuse(TOO_MANY)
        route = deployed.route(taken.key)
        integration = deployed.integration(route)
        verdict = await self._parts.access.ask(Route(api, route, deployed.authorizer(route)), story.asked, place)
        if verdict is not None:
            story.verdict = verdict
            if verdict.status != 200:
                return self._refuse(_refused(verdict))
            place = story.place = _let_in(place, integration, verdict)
        if integration is None:
            return self._refuse(NOT_FOUND)
        return await self._parts.integrations.answer(story, place, integration)


def _cors(given: Mapping[str, Any] | None) -> cors.Cors | None:
    """A CorsConfiguration."""
    if not given:
        return None
    return cors.Cors(
        given.get("AllowOrigins") or (),
        given.get("AllowMethods") or (),
        given.get("AllowHeaders") or (),
        given.get("ExposeHeaders") or (),
        given.get("MaxAge") or 0,
        bool(given.get("AllowCredentials")),
    )


def _refused(verdict: Verdict) -> HttpAnswer:
    answer = _REFUSALS[verdict.status]
    if not verdict.challenge:
        return answer
    return HttpAnswer(answer.status, (*answer.headers, ("www-authenticate", verdict.challenge)), answer.body)


def _let_in(place: Place, integration: Mapping[str, Any] | None, verdict: Verdict) -> Place:
    """In format 1.0 IAM's callers are in ``identity``, and what other authorizers say is not below a name."""
    second = integration is not None and integration["PayloadFormatVersion"] == "2.0"
    context = dict(verdict.context)
    named = second or verdict.kind == "iam"
    return msgspec.structs.replace(place, authorizer={verdict.kind: context} if named else context)


def _limits(stage: Part, key: str) -> tuple[float, float] | None:
    """(burst, a second) of a route in this stage; None: as many as come."""
    members = stage.spec.members
    own = (members.get("RouteSettings") or {}).get(key) or {}
    usual = members.get("DefaultRouteSettings") or {}
    given = [own.get(member, usual.get(member)) for member in ("ThrottlingBurstLimit", "ThrottlingRateLimit")]
    numbers = [float(each) for each in given if each is not None]
    return (numbers[0], numbers[-1]) if numbers else None
