"""Paths to answers, for whoever may have them; errors as the ECS agent words them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from havre.control.workloads.parts import View
from havre.dataplanes.metadata import present
from havre.dataplanes.metadata.credentials import CredentialCache
from havre.dataplanes.metadata.ids import Ids
from havre.dataplanes.metadata.stats import Sampler
from havre.kernel.errors import Gone, Permanent, Temporary

log = logging.getLogger("havre.metadata")

Answer = tuple[int, Any]
"""HTTP status, and what is answered as JSON."""

May = Callable[[View], Awaitable[bool]]
"""Whether who asks belongs to this workload."""


@dataclass(frozen=True)
class Sources:
    """``tags`` asks the server for the tags of a workload: ``TaskTags``, ``ContainerInstanceTags``."""

    views: Callable[[], Iterable[View]]
    ids: Ids
    credentials: CredentialCache
    stats: Sampler
    tags: Callable[[str], Awaitable[Mapping[str, Any]]]
    resolvers: Callable[[str], Sequence[str]]


class Answers:
    def __init__(self, sources: Sources) -> None:
        self._s = sources

    async def to(self, path: str, may: May) -> Answer:
        match path.strip("/").split("/"):
            case ["v2", "credentials", *rest]:
                return await self._credentials(rest[0] if rest else "", may)
            case [("v3" | "v4") as version, id, *rest]:
                return await self._metadata(version, id, "/".join(rest), may)
            case _:
                return 404, "404 page not found"

    # --- credentials
    async def _credentials(self, id: str, may: May) -> Answer:
        if not id:
            return _refusal(400, "NoIdInRequest", "No Credential ID in the request")
        view = self._view(self._s.ids.credentials_of(id, (v.workload for v in self._s.views())))
        if view is None or not view.workload.role or not await may(view):
            return _refusal(400, "InvalidIdInRequest", "Credentials not found")
        try:
            return 200, dict(await self._s.credentials.get(view.workload.id))
        except Temporary as e:
            log.warning("no credentials for %s yet: %s", view.workload.id, e.reason)
            return _refusal(503, "CredentialsUninitialized", "Credentials uninitialized for ID")
        except Permanent as e:
            log.warning("no credentials for %s: %s", view.workload.id, e.reason)
            return _refusal(400, "NoCredentialsAssociated", e.reason)

    # --- metadata
    async def _metadata(self, version: str, id: str, what: str, may: May) -> Answer:
        found = self._s.ids.container_of(id, (v.workload for v in self._s.views()))
        view = self._view(found[0] if found else None)
        if found is None or view is None or not await may(view):
            return 404, f"{version.upper()} container metadata handler: unable to get container ID from request: {id}"
        resolvers = self._s.resolvers(view.workload.interface.vpc) if view.workload.interface else ()
        match what:
            case "":
                return 200, _versioned(version, present.container(view, found[1], resolvers))
            case "task":
                return 200, _versioned(version, present.task(view, resolvers))
            case "taskWithTags":
                told = _versioned(version, present.task(view, resolvers))
                return 200, {**told, **await self._tags(view)}
            case "stats" | "task/stats":
                return await self._stats(view, found[1] if what == "stats" else "")
            case _:
                return 404, "404 page not found"

    async def _tags(self, view: View) -> dict[str, Any]:
        try:
            return dict(await self._s.tags(view.workload.id))
        except (Temporary, Permanent, Gone) as e:
            fault = {"ErrorField": "TaskTags", "ErrorCode": "ServerException", "ErrorMessage": str(e)}
            return {"Errors": [{**fault, "StatusCode": 500, "ResourceARN": view.workload.arn}]}

    async def _stats(self, view: View, container: str) -> Answer:
        self._s.stats.keep_only(s.id for v in self._s.views() for s in v.containers.values())
        names = [container] if container else [c.name for c in view.workload.containers]
        there = [view.containers[n] for n in names if n in view.containers]
        running = [s for s in there if s.state in ("created", "running")]  # who asks may run before that is known here
        if container and not running:
            return 404, "V4 container stats handler: the container does not run"
        samples = await asyncio.gather(*(self._s.stats.sample(s.id) for s in running), return_exceptions=True)
        for sample in samples:
            if isinstance(sample, Exception) and not isinstance(sample, Temporary | Permanent | Gone):
                raise sample
        told = {
            state.id: None if isinstance(sample, BaseException) else sample
            for state, sample in zip(running, samples, strict=True)
        }
        if not container:
            return 200, told
        only = told[running[0].id]
        return (200, only) if only is not None else (500, "failed to get stats")

    def _view(self, workload: Any) -> View | None:
        return next((v for v in self._s.views() if v.workload is workload), None) if workload is not None else None


def _versioned(version: str, told: dict[str, Any]) -> dict[str, Any]:
    return told if version == "v4" else present.older(told)


def _refusal(status: int, code: str, message: str) -> Answer:
    return status, {"code": code, "message": f"CredentialsV2Request: {message}", "HTTPErrorCode": status}
