"""Where requests go: to a function, or to a server somewhere else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from havre.control.asgi import plain
from havre.control.deps import ReconcilerDeps
from havre.control.operation import Aws
from havre.control.roles import Roles
from havre.core.http_events import Asked, BadAnswer, HttpAnswer, Place, answer_of, event_1, event_2
from havre.engines.web import fetch
from havre.kernel.errors import ApiError, Permanent, Temporary
from havre.services.apigatewayv2 import rules
from havre.services.apigatewayv2.resources import Api
from havre.services.apigatewayv2.serving.access import PRINCIPAL

_HOP = (
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
)


def told(status: int, message: str) -> HttpAnswer:
    return plain(status, {"message": message})


UNAVAILABLE, FAULT = told(503, "Service Unavailable"), told(500, "Internal Server Error")


class Integrations:
    def __init__(self, deps: ReconcilerDeps) -> None:
        self._deps = deps
        self._roles = Roles(deps, PRINCIPAL)

    async def answer(self, api: Api, integration: Mapping[str, Any], asked: Asked, place: Place) -> HttpAnswer:
        try:
            async with asyncio.timeout(integration["TimeoutInMillis"] / 1000):
                if integration["IntegrationType"] == "AWS_PROXY":
                    return await self._function(api, integration, asked, place)
                return await self._server(integration, asked, place)
        except (TimeoutError, Temporary):
            return UNAVAILABLE
        except (ApiError, Permanent, BadAnswer):
            return FAULT

    async def _function(self, api: Api, integration: Mapping[str, Any], asked: Asked, place: Place) -> HttpAnswer:
        second = integration["PayloadFormatVersion"] == "2.0"
        event = event_2(asked, place) if second else event_1(asked, place)
        function = rules.function_arn(integration["IntegrationUri"])
        aws = await self._caller(api, integration, place)
        request = {"FunctionName": function, "Payload": json.dumps(event).encode()}
        answer = await aws("lambda", "Invoke", request)
        if answer.get("FunctionError"):
            return FAULT
        return answer_of(bytes(answer.get("Payload") or b""), loose=second)

    async def _caller(self, api: Api, integration: Mapping[str, Any], place: Place) -> Aws:
        """API Gateway for this route, which the function's policy has to let in; or the role of the integration."""
        account, region = api.meta.account, api.meta.region
        role = integration.get("CredentialsArn")
        if not role:
            method, _, path = place.route.partition(" ")
            route = f"{api.spec.id}/{place.stage}/{method}{path}" if path else f"{api.spec.id}/{place.stage}/$default"
            return self._deps.aws_for(account, region, PRINCIPAL, f"arn:aws:execute-api:{region}:{account}:{route}")
        return await self._roles.acting(role, account, region, "BackplaneAssumeRoleSession")

    async def _server(self, integration: Mapping[str, Any], asked: Asked, place: Place) -> HttpAnswer:
        url = integration["IntegrationUri"]
        for name, value in place.path_parameters.items():
            url = url.replace(f"{{{name}}}", value)
        if asked.query:
            url += ("&" if "?" in url else "?") + asked.query
        method = integration["IntegrationMethod"]
        headers = [(name, value) for name, value in asked.headers if name not in _HOP and name != "host"]
        headers.append(("forwarded", f"for={asked.source_ip};host={asked.host};proto=http"))
        timeout = integration["TimeoutInMillis"] / 1000
        method = asked.method if method == "ANY" else method
        found = await fetch(method, url, headers, asked.body, timeout)
        kept = tuple((name, value) for name, value in found.headers if name not in _HOP)
        return HttpAnswer(found.status, kept, found.body)
