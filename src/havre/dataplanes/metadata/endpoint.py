"""Where the endpoint answers: inside each awsvpc task's network namespace, and once on the host for all other tasks."""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import msgspec

from havre.control.workloads.parts import View
from havre.dataplanes.metadata.answers import Answers, May, Sources
from havre.engines.ports import ContainerEngine, NetworkEngine
from havre.kernel.errors import Gone, Permanent, Temporary
from havre.kernel.workload import Container, Workload

log = logging.getLogger("havre.metadata")

ADDRESS = "169.254.170.2"
PORT = 80
_HOST = ("127.0.0.1", ADDRESS)
"""Where processes in the host's network come from."""


class Door(Protocol):
    """A listener that serves an application."""

    def close(self) -> None: ...


Serve = Callable[[Any, int], Awaitable[Door]]
"""(ASGI application, descriptor of a listening socket) → what closes it."""


class Host(Protocol):
    """What the endpoint needs of the host's own network (apps/host_doors.py)."""

    async def open(self, app: Any, admits: Callable[[str], Awaitable[bool]]) -> tuple[str, str]:
        """Serve on the host, and the API as well. Gives the URLs of both for containers in bridge mode. Idempotent.
        Raises Temporary, Permanent."""
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
        self._doors: dict[str, tuple[int, Door]] = {}
        self._shared: tuple[str, str] | None = None

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
        url, api = self._shared or ("", "")
        return url, self._api if workload.network == "host" else api

    async def open(self, workload: Workload, pid: int) -> None:
        if workload.network == "awsvpc":
            await self._open_inside(workload, pid)
        elif workload.network != "none" and self._shared is None and not self._network.available():
            self._shared = await self._host.open(_application(self._answers, self._may_here), self.admits)

    async def _open_inside(self, workload: Workload, pid: int) -> None:
        held = self._doors.get(workload.id)
        if held is not None:
            if held[0] == pid:
                return
            self.close(workload.id)
        descriptor = await self._network.listen(pid, ADDRESS, PORT)
        app = _application(self._answers, lambda peer: _is(workload.id))
        try:
            self._doors[workload.id] = (pid, await self._serve(app, descriptor))
        except OSError as error:
            os.close(descriptor)
            raise Temporary(f"the metadata endpoint: {error}") from error

    def close(self, workload: str) -> None:
        if held := self._doors.pop(workload, None):
            held[1].close()
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


def _is(workload: str) -> May:
    async def may(view: View) -> bool:
        return view.workload.id == workload

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
