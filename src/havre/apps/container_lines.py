"""Containers' lines on their way from a node into CloudWatch Logs, by PutLogEvents."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from havre.control.nodelink.messages import LogStream
from havre.control.operation import Aws
from havre.core.log_batches import batches
from havre.kernel.errors import ApiError, Temporary

log = logging.getLogger("havre.nodes")
RETRY = 0.5
TOLD_EVERY = 60.0
MOST_UNTOLD = 1_000


class LineSink:
    """``aws(account, region)`` calls AWS as the service that writes containers' lines; it raises Temporary, too."""

    def __init__(self, aws: Callable[[str, str], Aws]) -> None:
        self._aws = aws
        self._losses = Losses()

    async def keep(self, stream: LogStream, lines: Sequence[tuple[int, bytes]]) -> None:
        """Durable when it returns, however long that takes: a disk that is full makes the writers wait.

        Lines of a log group that was deleted have nowhere to go: they are dropped, loudly.
        """
        logs = self._aws(stream.account, stream.region)
        for events in batches(lines):
            request = {"logGroupName": stream.group, "logStreamName": stream.stream, "logEvents": events}
            try:
                await self._put(logs, stream, request)
            except ApiError as refusal:
                self._losses.note(stream, len(events), refusal)

    async def _put(self, logs: Aws, stream: LogStream, request: dict[str, Any]) -> None:
        """Each batch is tried again by itself: those before it are kept already."""
        made = False
        while True:
            try:
                await logs("logs", "PutLogEvents", request)
                return
            except Temporary as passing:
                await asyncio.sleep(max(RETRY, passing.after))
                continue
            except ApiError as refusal:
                if made or refusal.code != "ResourceNotFoundException":
                    raise
            made = await _make(logs, stream)


class Losses:
    """Tells of lines that have nowhere to go: at once, then once a minute for each log stream, for they may be many."""

    def __init__(self) -> None:
        self._untold: dict[tuple[str, str], tuple[float, int]] = {}

    def note(self, stream: LogStream, count: int, why: ApiError) -> None:
        key = (stream.workload, stream.container)
        told, before = self._untold.get(key, (-TOLD_EVERY, 0))
        now = time.monotonic()
        if now - told < TOLD_EVERY:
            self._untold[key] = (told, before + count)
            return
        if len(self._untold) >= MOST_UNTOLD:
            self._untold.clear()
        self._untold[key] = (now, 0)
        log.error("%d lines of %s/%s are lost: %s", before + count, stream.workload, stream.container, why)


async def _make(logs: Aws, stream: LogStream) -> bool:
    """The log stream, and its group where the container asks for that. False when it is to be tried again."""
    names = {"logGroupName": stream.group}
    try:
        if stream.options.get("awslogs-create-group") == "true":
            await _unless_there(logs, "CreateLogGroup", names)
        await _unless_there(logs, "CreateLogStream", {**names, "logStreamName": stream.stream})
    except Temporary as passing:
        await asyncio.sleep(max(RETRY, passing.after))
        return False
    return True


async def _unless_there(logs: Aws, operation: str, request: dict[str, Any]) -> None:
    try:
        await logs("logs", operation, request)
    except ApiError as refusal:
        if refusal.code != "ResourceAlreadyExistsException":
            raise
