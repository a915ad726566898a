"""Lambda authorizers: a function says who may."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from havre.control.deps import ReconcilerDeps
from havre.control.roles import Roles
from havre.core.http_events import Asked, Place, event_1, event_2
from havre.core.policy import Grants, PolicyError, Question, Who, decide, parse
from havre.kernel.errors import ApiError, Permanent, Temporary
from havre.services.apigatewayv2 import rules
from havre.services.apigatewayv2.resources import Api
from havre.services.apigatewayv2.roles import PRINCIPAL
from havre.services.apigatewayv2.serving.identity import identity
from havre.services.apigatewayv2.serving.verdict import Verdict

_REMEMBERED = 10_000


class Functions:
    def __init__(self, deps: ReconcilerDeps) -> None:
        self._deps = deps
        self._roles = Roles(deps, PRINCIPAL)
        self._known: dict[tuple[Any, ...], tuple[float, bytes]] = {}

    async def ask(self, api: Api, authorizer: Mapping[str, Any], asked: Asked, place: Place, arn: str) -> Verdict:
        sources = [identity(source, asked, place) for source in authorizer.get("IdentitySource") or ()]
        if any(value is None for value in sources):
            return Verdict(401, error="the identity sources are not all there")
        lasts = authorizer.get("AuthorizerResultTtlInSeconds", 0) if sources else 0
        key = (api.spec.id, place.stage, authorizer["AuthorizerId"], authorizer["AuthorizerUri"], *sources)
        simple, now = bool(authorizer.get("EnableSimpleResponses")), self._deps.world.now()
        known = self._known.get(key)
        if lasts and known is not None and known[0] > now:
            return judge(known[1], simple, arn)
        event = _event(authorizer, asked, place, [str(s) for s in sources], arn)
        answer = await self._invoke(api, authorizer, event)
        if isinstance(answer, Verdict):
            return answer
        if lasts:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[key] = (now + lasts, answer)
        return judge(answer, simple, arn)

    async def _invoke(self, api: Api, authorizer: Mapping[str, Any], event: dict[str, Any]) -> bytes | Verdict:
        """What the function answers, or what it comes to that it does not."""
        where = f"arn:aws:execute-api:{api.meta.region}:{api.meta.account}:{api.spec.id}"
        caller, role = f"{where}/authorizers/{authorizer['AuthorizerId']}", authorizer.get("AuthorizerCredentialsArn")
        account, region = api.meta.account, api.meta.region
        function = rules.function_arn(authorizer["AuthorizerUri"])
        try:
            if role:
                aws = await self._roles.acting(role, account, region, "BackplaneAssumeRoleSession")
            else:
                aws = self._deps.aws_for(account, region, PRINCIPAL, caller)
            answer = await aws("lambda", "Invoke", {"FunctionName": function, "Payload": json.dumps(event).encode()})
        except (ApiError, Temporary, Permanent):
            return Verdict(500)
        payload = bytes(answer.get("Payload") or b"")
        if answer.get("FunctionError"):
            return Verdict(401 if b'"Unauthorized"' in payload else 500)
        return payload


def _event(authorizer: Mapping[str, Any], asked: Asked, place: Place, sources: list[str], arn: str) -> dict[str, Any]:
    without = msgspec.structs.replace(asked, body=b"")
    if authorizer["AuthorizerPayloadFormatVersion"] == "2.0":
        told = event_2(without, place)
        return {**told, "type": "REQUEST", "routeArn": arn, "identitySource": sources or None}
    told = event_1(without, place)
    source = ",".join(sources)
    return {**told, "type": "REQUEST", "methodArn": arn, "identitySource": source, "authorizationToken": source}


def judge(payload: bytes, simple: bool, arn: str) -> Verdict:
    """What an authorizer's answer means. Pure."""
    try:
        answer: Any = json.loads(payload)
    except ValueError:
        return Verdict(500)
    if not isinstance(answer, dict):
        return Verdict(500)
    context = answer.get("context") or {}
    if simple:
        allowed = answer.get("isAuthorized")
        return Verdict(500) if not isinstance(allowed, bool) else Verdict(200 if allowed else 403, context)
    try:
        policy = parse(json.dumps(answer["policyDocument"]))
    except (KeyError, PolicyError):
        return Verdict(500)
    who = Who("IAMUser", "", str(answer.get("principalId", "")))
    decision = decide(Question("execute-api:Invoke", arn, {}, who), Grants(identity=(policy,)))
    told = {**context, "principalId": answer.get("principalId", "")}
    return Verdict(200, told) if decision.allowed else Verdict(403)
