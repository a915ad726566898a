"""Where the endpoint answers: once in each VPC for awsvpc tasks, and once on the host for all other tasks."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import msgspec

from havre.control.workloads.parts import View
from havre.dataplanes.metadata.answers import Answers, May, Sources
from havre.engines.ports import ContainerEngine, Door, NetworkEngine
from havre.kernel.errors import Gone, Permanent, Temporary
from havre.kernel.workload import Container, Workload

log = logging.getLogger("havre.metadata")

ADDRESS = "169.254.170.2"
PORT = 80
_HOST = ("127.0.0.1", ADDRESS)
"""Where processes in the host's network come from."""


Serve = Callable[[Any, int], Awaitable[Door]]
"""(ASGI application, descriptor of a listening socket) → what closes it."""


class Host(Protocol):
    """What the endpoint needs of the host's own network (apps/host_doors.py)."""

    async def open(self, app: Any, admits: Callable[[str], Awaitable[bool]]) -> tuple[str, str, str]:
        """Serve on the host, and the API as well, and names. Gives the URLs of both for containers in bridge mode, and the
        address of the name server ("" without one). Idempotent. Raises Temporary, Permanent."""
        ...


class MetadataEndpoint:
    """The ``Metadata`` port of the agent (control/workloads/parts.py). ``api`` is where host mode reaches the API."""

    def __init__(
        self, sources: Sources, engines: tuple[ContainerEngine, NetworkEngine], serve: Serve, host: Host, api: str
    ) -> None:
        self._sources = sources
        self._answers = Answers(sources)
        self._containers, self._network = engines
        self._serve = serve
        self._host = host
        self._api = api
        self._shared: tuple[str, str, str] | None = None
        self._network.answer(ADDRESS, PORT, self._answer_in)

    # --- for the agent
    def environment(self, workload: Workload, container: Container) -> Mapping[str, str]:
        told = {"AWS_REGION": workload.region, "AWS_DEFAULT_REGION": workload.region}
        url, api = self._urls(workload)
        if api:
            told["AWS_ENDPOINT_URL"] = api
        if not url:
            return told
        id = self._sources.ids.container(workload.id, container.name)
        told |= {"ECS_CONTAINER_METADATA_URI": f"{url}/v3/{id}", "ECS_CONTAINER_METADATA_URI_V4": f"{url}/v4/{id}"}
        if workload.role:
            path = f"/v2/credentials/{self._sources.ids.credentials(workload.id)}"
            if url == f"http://{ADDRESS}":
                told["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = path
            else:
                told["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = url + path
        return told

    def _urls(self, workload: Workload) -> tuple[str, str]:
        """Of the endpoint and of the API, as this workload reaches them; "" where it cannot."""
        if workload.network == "awsvpc" and workload.interface:
            return f"http://{ADDRESS}", self._network.endpoint_for(workload.interface.vpc)
        if workload.network == "none":
            return "", ""
        url, api, _ = self._shared or ("", "", "")
        return url, self._api if workload.network == "host" else api

    def resolvers(self, workload: Workload) -> tuple[str, ...]:
        """The name servers of containers that name none; empty where the engine's own will do."""
        shared = workload.network in ("bridge", "host") and self._shared
        return (shared[2],) if shared and shared[2] else ()

    async def open(self, workload: Workload, pid: int) -> None:
        """Awsvpc tasks find it in their VPC, which is built before them."""
        del pid
        shared = workload.network not in ("awsvpc", "none")
        if shared and self._shared is None and not self._network.available():
            self._shared = await self._host.open(_application(self._answers, self._may_here), self.admits)

    async def _answer_in(self, vpc: str, descriptor: int) -> Door:
        return await self._serve(_application(self._answers, lambda peer: _is(vpc, peer)), descriptor)

    def close(self, workload: str) -> None:
        self._sources.credentials.forget(workload)

    # --- who asks on the host
    async def admits(self, peer: str) -> bool:
        """Whether this address is the host's, or that of a container of ours."""
        if peer in _HOST or any(peer == s.address for v in self._sources.views() for s in v.containers.values()):
            return True
        try:
            return any(peer == state.address for state in await self._containers.containers())
        except (Temporary, Permanent, Gone):
            return False

    def _may_here(self, peer: str) -> May:
        async def may(view: View) -> bool:
            if view.workload.network == "host":
                return peer in _HOST
            if view.workload.network != "bridge":
                return False
            if any(peer == state.address for state in view.containers.values()):
                return True
            try:  # it may have started only just now
                return any(peer == s.address for s in await self._containers.containers(view.workload.id))
            except (Temporary, Permanent, Gone):
                return False

        return may


def _is(vpc: str, address: str) -> May:
    """In a VPC nobody can use an address that is not his (engines/ports.py)."""

    async def may(view: View) -> bool:
        own = view.workload.interface
        return own is not None and (own.vpc, own.address) == (vpc, address)

    return may


def _application(answers: Answers, may_of: Callable[[str], May]) -> Any:
    """As ASGI."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        del receive
        peer = scope["client"][0] if scope.get("client") else ""
        if scope["method"] != "GET":
            status, told = 405, "use GET"
        else:
            status, told = await answers.to(scope["path"], may_of(peer))
        body = msgspec.json.encode(told)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app
