"""Who may: what a route's authorizer says of a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from havre.control.deps import ReconcilerDeps
from havre.control.gate import Gate, caller
from havre.core.http_events import Asked, Place
from havre.kernel.errors import ApiError
from havre.services.apigatewayv2.resources import Api
from havre.services.apigatewayv2.serving.functions import Functions
from havre.services.apigatewayv2.serving.issuers import Issuers
from havre.services.apigatewayv2.serving.tokens import Tokens
from havre.services.apigatewayv2.serving.verdict import Verdict

NOBODY = Verdict(500, error="the route's authorizer is not there")


class Route(msgspec.Struct, frozen=True):
    """A route as it is deployed, with its authorizer where it has one."""

    api: Api
    members: Mapping[str, Any]
    authorizer: Mapping[str, Any] | None


class Access:
    def __init__(self, deps: ReconcilerDeps, gate: Gate) -> None:
        self._gate = gate
        self._functions = Functions(deps)
        self._tokens = Tokens(deps.world, Issuers(deps.world.now))

    async def ask(self, route: Route, asked: Asked, place: Place) -> Verdict | None:
        """None where everybody may."""
        kind = route.members.get("AuthorizationType", "NONE")
        if kind == "NONE":
            return None
        arn = route_arn(route.api, place, asked)
        if kind == "AWS_IAM":
            return self._by_policies(route.api, asked, arn)
        if route.authorizer is None:
            return NOBODY
        if kind == "JWT":
            scopes = route.members.get("AuthorizationScopes") or ()
            return await self._tokens.ask(route.authorizer, scopes, asked, place)
        named = {**route.authorizer, "AuthorizerId": route.members["AuthorizerId"]}
        return await self._functions.ask(route.api, named, asked, place, arn)

    def _by_policies(self, api: Api, asked: Asked, arn: str) -> Verdict:
        try:
            who = self._gate.sender(asked)
            keys = {"aws:SourceIp": asked.source_ip, "aws:UserAgent": asked.header("user-agent")}
            self._gate.authorize(who, api.meta.region, "execute-api:Invoke", arn, keys)
        except ApiError as refused:
            return Verdict(403, error=refused.message)
        return Verdict(200, caller(who), kind="iam")


def route_arn(api: Api, place: Place, asked: Asked) -> str:
    bare = place.stage == "$default" or asked.base is not None
    path = asked.path if bare else asked.path.removeprefix(f"/{place.stage}")
    where = f"arn:aws:execute-api:{api.meta.region}:{api.meta.account}:{api.spec.id}"
    return f"{where}/{place.stage}/{asked.method}{path}"
