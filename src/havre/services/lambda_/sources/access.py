"""What pollers do in AWS: read the source as the function's role, invoke the function as Lambda."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from havre.control.deps import ReconcilerDeps
from havre.control.operation import Aws
from havre.core.invoking.traces import deepest
from havre.kernel.errors import ApiError, Permanent
from havre.services.lambda_.roles import PRINCIPAL
from havre.services.lambda_.sources.source import Invoked, Source

EARLY = 300.0
"""Seconds before their end from which credentials are not used any more."""


class RoleAccess:
    def __init__(self, deps: ReconcilerDeps, source: Source, report: Callable[[str], None]) -> None:
        self._deps = deps
        self._source = source
        self._report = report
        self._role: Aws | None = None
        self._until = 0.0
        self._lambda = deps.aws_for(source.account, source.region, PRINCIPAL)

    async def as_role(self) -> Aws:
        """Raises Permanent, Temporary."""
        if self._role is None or self.now() > self._until:
            self._role = await self._assume()
        return self._role

    async def _assume(self) -> Aws:
        source, deps = self._source, self._deps
        name = f"lambda-{source.function.split(':')[6]}"[:64]
        try:
            made = await self._lambda("sts", "AssumeRole", {"RoleArn": source.role, "RoleSessionName": name})
        except ApiError as refusal:
            if deps.site.auth == "open":  # roles need not exist where nothing is checked
                return self._lambda
            raise Permanent(refusal.message or refusal.code) from None
        self._until = float(made["Credentials"]["Expiration"]) - EARLY
        assert deps.aws_with is not None
        return deps.aws_with(source.account, source.region, made["Credentials"])

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

    def now(self) -> float:
        return self._deps.world.now()
