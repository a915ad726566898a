"""What pollers do in AWS: read the source as the function's role, invoke the function as Lambda."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from havre.control.deps import ReconcilerDeps
from havre.control.operation import Aws
from havre.control.roles import Roles
from havre.core.invoking.meters import NAMESPACE, dimensions, place
from havre.core.invoking.traces import deepest
from havre.services.lambda_.roles import PRINCIPAL
from havre.services.lambda_.sources.source import Invoked, Source


class RoleAccess:
    def __init__(self, deps: ReconcilerDeps, source: Source, report: Callable[[str], None]) -> None:
        self._deps = deps
        self._source = source
        self._report = report
        self._roles = Roles(deps, PRINCIPAL)
        self._lambda = deps.aws_for(source.account, source.region, PRINCIPAL)

    async def as_role(self) -> Aws:
        """Raises ApiError, Permanent, Temporary."""
        source = self._source
        session = f"lambda-{source.function.split(':')[6]}"
        return await self._roles.acting(source.role, source.account, source.region, session)

    async def invoke(self, event: Mapping[str, Any]) -> Invoked:
        payload = json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
        request = {"FunctionName": self._source.function, "InvocationType": "RequestResponse", "Payload": payload}
        answer = await self._carrying(event)("lambda", "Invoke", request)
        error, version = answer.get("FunctionError") or "", answer.get("ExecutedVersion") or ""
        return Invoked(bytes(answer.get("Payload") or b""), error, version, self._deps.world.uuid())

    def _carrying(self, event: Mapping[str, Any]) -> Aws:
        """Lambda's own client, with the trace of the messages: chains that come back to a function are counted."""
        records = event.get("Records") or ()
        headers = [h for r in records if (h := (r.get("attributes") or {}).get("AWSTraceHeader"))]
        trace = deepest(headers) if headers else ""
        if not trace:
            return self._lambda
        return self._deps.aws_for(self._source.account, self._source.region, PRINCIPAL, trace=trace)

    def queue_url(self, arn: str) -> str:
        account, name = arn.split(":")[4:6]
        return f"{self._deps.site.endpoint}/{account}/{name}"

    def report(self, result: str) -> None:
        self._report(result)

    def count(self, metric: str, events: int) -> None:
        if self._source.counted:
            self._of_mapping(metric, events)

    def _of_mapping(self, metric: str, value: float) -> None:
        source = self._source
        where = (("EventSourceMappingUUID", source.id),)
        self._deps.metrics.add(source.account, source.region, NAMESPACE, metric, where, float(value))

    def measure(self, metric: str, value: float, unit: str = "Count") -> None:
        source = self._source
        _, name, *qualifier = source.function.split(":", 5)[5].split(":")
        for where in dimensions(place(name, *(qualifier or [""]))):
            if where:
                self._deps.metrics.add(source.account, source.region, NAMESPACE, metric, where, value, unit)

    def pollers(self, running: int) -> None:
        self._of_mapping("ProvisionedPollers", running)

    def now(self) -> float:
        return self._deps.world.now()
