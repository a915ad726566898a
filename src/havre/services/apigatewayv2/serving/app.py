"""The door: a request for an API, from its bytes to its answer."""

from __future__ import annotations

from typing import Any

from havre.control.asgi import as_asked, read, send
from havre.control.deps import ReconcilerDeps
from havre.control.gate import Gate
from havre.core.http_events import HttpAnswer
from havre.services.apigatewayv2.serving.access import Access
from havre.services.apigatewayv2.serving.access_logs import AccessLogs
from havre.services.apigatewayv2.serving.buckets import Buckets
from havre.services.apigatewayv2.serving.deployed import Shelf
from havre.services.apigatewayv2.serving.domains import Domains
from havre.services.apigatewayv2.serving.integrations import Doors, Integrations, told
from havre.services.apigatewayv2.serving.metering import Meters
from havre.services.apigatewayv2.serving.request import FORBIDDEN, Parts, Request
from havre.services.apigatewayv2.serving.story import Story

MOST = 10 << 20
"""Bytes of a request's body."""
TOO_LARGE = told(413, "Request Entity Too Large")


class HttpApis:
    def __init__(self, deps: ReconcilerDeps, gate: Gate, doors: Doors | None = None) -> None:
        """``doors``: see Integrations."""
        self._world = deps.world
        self._shelf = Shelf(deps.store)
        self._parts = Parts(self._shelf, Access(deps, gate), Integrations(deps, doors), Buckets(deps.world.now))
        self._logs = AccessLogs(deps)
        self._meters = Meters(deps.metrics)
        self._domains = Domains(deps.store)

    async def asgi(self, scope: Any, receive: Any, send_: Any) -> None:
        """For the API that the host name names."""
        body = await read(receive, MOST)
        asked = as_asked(scope, body or b"", self._world.now())
        api = self._shelf.api(asked.host.partition(".")[0].lower())
        id = self._world.uuid()
        story = None if api is None or api.spec.members.get("DisableExecuteApiEndpoint") else Story(api, asked, id)
        await self._serve(story, id, send_, body, asked.method)

    async def domain(self, scope: Any, receive: Any, send_: Any) -> None:
        """For what the path below a custom domain name is mapped to; the proxy that has its certificate asks."""
        body = await read(receive, MOST)
        asked = as_asked(scope, body or b"", self._world.now())
        id = self._world.uuid()
        await self._serve(self._domains.story(asked, id), id, send_, body, asked.method)

    async def _serve(self, story: Story | None, id: str, send_: Any, body: bytes | None, method: str) -> None:
        if body is None:
            answer = TOO_LARGE
        elif story is None:
            answer = FORBIDDEN
        else:
            answer = await self._answer(story)
        headers = (*answer.headers, ("apigw-requestid", id))
        await send(send_, HttpAnswer(answer.status, headers, answer.body), method == "HEAD")

    async def _answer(self, story: Story) -> HttpAnswer:
        answer = await Request(self._parts, story).answer()
        self._logs.note(story, answer)
        self._meters.note(story, answer, self._world.now())
        return answer

    async def close(self) -> None:
        """Keep what of the access logs is not written yet."""
        await self._logs.close()
