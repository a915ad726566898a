"""The door: a request for an API, from its bytes to its answer."""

from __future__ import annotations

from typing import Any

from havre.control.asgi import as_asked, read, send
from havre.control.deps import ReconcilerDeps
from havre.control.gate import Gate
from havre.core.http_events import Asked, HttpAnswer
from havre.services.apigatewayv2.resources import Api
from havre.services.apigatewayv2.serving.access import Access
from havre.services.apigatewayv2.serving.access_logs import AccessLogs
from havre.services.apigatewayv2.serving.buckets import Buckets
from havre.services.apigatewayv2.serving.deployed import Shelf
from havre.services.apigatewayv2.serving.integrations import Integrations, told
from havre.services.apigatewayv2.serving.request import FORBIDDEN, Parts, Request
from havre.services.apigatewayv2.serving.story import Story

MOST = 10 << 20
"""Bytes of a request's body."""
TOO_LARGE = told(413, "Request Entity Too Large")


class HttpApis:
    def __init__(self, deps: ReconcilerDeps, gate: Gate) -> None:
        self._world = deps.world
        self._shelf = Shelf(deps.store)
        self._parts = Parts(self._shelf, Access(deps, gate), Integrations(deps), Buckets(deps.world.now))
        self._logs = AccessLogs(deps)

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
        story = Story(api, asked, id)
        answer = await Request(self._parts, story).answer()
        self._logs.note(story, answer)
        return answer

    async def close(self) -> None:
        """Keep what of the access logs is not written yet."""
        await self._logs.close()
