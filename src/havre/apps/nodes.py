"""What the server does for its nodes: keeps the lines of their containers, hands out the credentials of task roles."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from havre.apps.config import token
from havre.control.deps import ReconcilerDeps
from havre.control.nodelink.hub import Hub, HubParts
from havre.control.nodelink.messages import LogStream
from havre.control.nodes import NODE, WORKLOAD
from havre.control.operation import Aws
from havre.kernel.errors import ApiError, Gone, Permanent, Temporary

log = logging.getLogger("havre.nodes")
RELINK_PATIENCE = 5.0
"""Seconds that a reset waits for the nodes to come back."""
TASKS = "ecs-tasks.amazonaws.com"
BATCH_EVENTS, BATCH_BYTES, EVENT_OVERHEAD = 10_000, 1_048_576, 26
"""Bounds of one PutLogEvents call; each event counts 26 bytes more than its text."""


class Nodes:
    def __init__(self, state: Path, secret: bytes, deps: ReconcilerDeps) -> None:
        self._deps = deps
        self._state = state
        identity = hmac.digest(secret, b"store-identity", "sha256").hex()[:32]
        word = token(state / "node.token")
        self.hub = Hub(HubParts(deps.store, deps.world, identity, lambda: word, self._keep, self._answer))

    async def serve(self) -> None:
        await self.hub.serve(self._state / "node.sock")

    async def start_afresh(self) -> None:
        """After a reset: the nodes dial in again and are told that nothing is assigned. Returns when they have."""
        known, changes = set(self.hub.nodes), self._deps.store.subscribe([NODE.name])
        self.hub.end_links()
        try:
            async with asyncio.timeout(RELINK_PATIENCE):
                while not known <= set(self.hub.nodes):
                    await anext(changes)
        except TimeoutError:
            log.warning("a node did not come back after the reset")
        finally:
            changes.close()

    async def _answer(self, node: str, what: str, question: Any) -> Any:
        """Raises Permanent, Temporary, Gone."""
        if what == "credentials":
            return await self._credentials(node, str(question))
        raise Permanent(f"the server does not know {what}")

    async def _credentials(self, node: str, workload: str) -> dict[str, str]:
        """Of a workload's role, in the shape of the credentials endpoint; only for who runs it."""
        found = next((r for r in self._deps.store.find(WORKLOAD, "node", node) if r.meta.name == workload), None)
        if found is None or not found.spec.workload.role:
            raise Gone(f"{workload} has no task role")
        work = found.spec.workload
        sts = self._deps.aws_for(work.account, work.region, TASKS)
        try:
            session = work.arn.rsplit("/", 1)[-1][:64]
            made = await sts("sts", "AssumeRole", {"RoleArn": work.role, "RoleSessionName": session})
        except ApiError as refusal:
            raise Permanent(refusal.message or refusal.code) from None
        keys = made["Credentials"]
        return {
            "RoleArn": work.role,
            "AccessKeyId": keys["AccessKeyId"],
            "SecretAccessKey": keys["SecretAccessKey"],
            "Token": keys["SessionToken"],
            "Expiration": _iso(float(keys["Expiration"])),
        }

    async def _keep(self, stream: LogStream, lines: Sequence[tuple[int, bytes]]) -> None:
        """Durable when it returns. Lines of a log group that was deleted have nowhere to go: they are dropped, loudly."""
        logs = self._deps.aws_for(stream.account, stream.region, TASKS)
        for batch in _batches(lines):
            events = [{"timestamp": at, "message": text.decode(errors="replace")} for at, text in batch]
            request = {"logGroupName": stream.group, "logStreamName": stream.stream, "logEvents": events}
            try:
                await self._put(logs, stream, request)
            except ApiError as refusal:
                if refusal.code in ("ServiceUnavailableException", "ThrottlingException"):
                    raise Temporary(refusal.message) from None
                log.error("%d lines of %s are lost: %s", len(batch), stream.workload, refusal)

    async def _put(self, logs: Aws, stream: LogStream, request: dict[str, Any]) -> None:
        try:
            await logs("logs", "PutLogEvents", request)
            return
        except ApiError as refusal:
            if refusal.code != "ResourceNotFoundException":
                raise
        names = {"logGroupName": stream.group}
        if stream.options.get("awslogs-create-group") == "true":
            await _unless_there(logs, "CreateLogGroup", names)
        await _unless_there(logs, "CreateLogStream", {**names, "logStreamName": stream.stream})
        await logs("logs", "PutLogEvents", request)


async def _unless_there(logs: Aws, operation: str, request: dict[str, Any]) -> None:
    try:
        await logs("logs", operation, request)
    except ApiError as refusal:
        if refusal.code != "ResourceAlreadyExistsException":
            raise


def _batches(lines: Sequence[tuple[int, bytes]]) -> list[list[tuple[int, bytes]]]:
    """In order of time, as PutLogEvents wants them; empty lines, which it refuses, are left out."""
    batches: list[list[tuple[int, bytes]]] = []
    size = 0
    for at, text in sorted(((at, text) for at, text in lines if text), key=lambda line: line[0]):
        cost = len(text) + EVENT_OVERHEAD
        if not batches or len(batches[-1]) >= BATCH_EVENTS or size + cost > BATCH_BYTES:
            batches.append([])
            size = 0
        batches[-1].append((at, text))
        size += cost
    return batches


def _iso(at: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
