"""Containers' lines on their way from a node into CloudWatch Logs, by PutLogEvents."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from havre.control.nodelink.messages import LogStream
from havre.control.operation import Aws
from havre.core.log_batches import batches
from havre.kernel.errors import ApiError, Permanent, Temporary

log = logging.getLogger("havre.nodes")
RETRY = 0.5
TOLD_EVERY = 60.0
MOST_UNTOLD = 1_000


class LineSink:
    """``aws(stream)`` gives AWS as who writes the lines sees it. It and its calls raise ApiError, Permanent, Temporary."""

    def __init__(self, aws: Callable[[LogStream], Awaitable[Aws]]) -> None:
        self._aws = aws
        self.losses = Losses()

    async def keep(self, stream: LogStream, lines: Sequence[tuple[int, bytes]]) -> ApiError | Permanent | None:
        """Durable when it returns, however long that takes: a disk that is full makes the writers wait.

        Lines of a log group that was deleted have nowhere to go: they are dropped, loudly. The answer is why the last were.
        """
        why: ApiError | Permanent | None = None
        for events in batches(lines):
            request = {"logGroupName": stream.group, "logStreamName": stream.stream, "logEvents": events}
            try:
                await self._put(stream, request)
            except (ApiError, Permanent) as refusal:
                why = refusal
                self.losses.note(stream, len(events), refusal)
        return why

    async def _put(self, stream: LogStream, request: dict[str, Any]) -> None:
        """Each batch is tried again by itself: those before it are kept already."""
        made = False
        while True:
            try:
                logs = await self._aws(stream)
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

    def note(self, stream: LogStream, count: int, why: object) -> None:
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
    """The log stream, and where there is none its group, if the container asks for that: whoever writes to a group that is
    there need not be allowed to make one. False when it is to be tried again."""
    names = {"logGroupName": stream.group}
    made = {**names, "logStreamName": stream.stream}
    try:
        try:
            await _unless_there(logs, "CreateLogStream", made)
        except ApiError as refusal:
            if refusal.code != "ResourceNotFoundException" or stream.options.get("awslogs-create-group") != "true":
                raise
            await _unless_there(logs, "CreateLogGroup", names)
            await _unless_there(logs, "CreateLogStream", made)
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
