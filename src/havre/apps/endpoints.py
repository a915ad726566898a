"""What answers at the server's port besides AWS's API; each is loaded when somebody first comes."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from havre.apps.config import PROXY
from havre.apps.internal import Page
from havre.apps.status import Status
from havre.gateway.ports import Asgi, Receive, Scope, Send

if TYPE_CHECKING:
    from havre.apps.server import Server
    from havre.dataplanes.data_channel import DataChannels
    from havre.services.apigatewayv2.serving.app import HttpApis
    from havre.services.lambda_.invoking.urls import FunctionUrls


class Endpoints:
    def __init__(self, server: Server) -> None:
        self._server = server

    @cached_property
    def http_apis(self) -> HttpApis:
        from havre.apps.signed import SignedGate
        from havre.services.apigatewayv2.serving.app import HttpApis
        from havre.services.apigatewayv2.serving.integrations import Doors

        server = self._server
        doors = Doors(server.config.state / PROXY, server.authority.certificate_file)
        return HttpApis(server.deps, SignedGate(server.gateway, "execute-api"), doors)

    @cached_property
    def _function_urls(self) -> FunctionUrls:
        from havre.apps.signed import SignedGate
        from havre.services.lambda_.invoking.urls import FunctionUrls

        server = self._server
        gate = SignedGate(server.gateway, "lambda")
        invoking = lambda: server.functions.open_invoking(server.store, server.world)  # noqa: E731
        return FunctionUrls(server.store, server.world, gate, invoking)

    @cached_property
    def _data_channels(self) -> DataChannels:
        from havre.control.terminals.transcripts import Transcripts
        from havre.dataplanes.data_channel import DataChannels

        server = self._server
        return DataChannels(server.commands, server.nodes.terminals, Transcripts(server.deps), server.world)

    async def registry(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._server.registry.app(scope, cast(Any, receive), cast(Any, send))

    async def http_api(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.http_apis.asgi(scope, receive, send)

    async def function_url(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._function_urls.asgi(scope, receive, send)

    async def data_channel(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._data_channels(scope, receive, send)

    async def _code(self, scope: Scope, receive: Receive, send: Send) -> None:
        from havre.apps.code_downloads import Downloads

        await Downloads(self._server.functions, self._server.world.now)(scope, receive, send)

    async def _certificate(self, scope: Scope, receive: Receive, send: Send) -> None:
        from havre.services.sns.signing import serve

        await serve(self._server.store, scope, send)

    def internal(self) -> dict[str, Asgi]:
        """Path → what answers there."""
        server = self._server
        status = Status(server)
        pages: dict[str, Asgi] = {
            "/_havre/health": Page(status.health),
            "/_havre/status": Page(status.status, token=server.token),
            "/_havre/explain": Page(status.explain, token=server.token),
            "/_havre/functions": self._code,
            "/_havre/sns": self._certificate,
        }
        if server.config.site.auth == "open":
            pages["/_havre/reset"] = Page(status.reset, method="POST")
        return pages

    async def close(self) -> None:
        if "http_apis" in self.__dict__:
            await self.http_apis.close()
