"""Access logs: a line for each request, gathered for a second and put into CloudWatch Logs.

They are told after the answer, and as AWS's are they are best effort: what a group does not take, what comes faster than it
does, and the last second before a ``kill -9`` is lost; the first two loudly.
"""

from __future__ import annotations

import asyncio
import logging

from havre.control.deps import ReconcilerDeps
from havre.control.log_lines import put_lines
from havre.control.tasks import Tasks
from havre.core.http_events import HttpAnswer
from havre.core.log_batches import batches
from havre.kernel.errors import ApiError, Permanent, Temporary
from havre.services.apigatewayv2.serving.story import Story, line, variables

log = logging.getLogger("havre.services")
PRINCIPAL = "delivery.logs.amazonaws.com"
GATHER = 1.0
"""Seconds in which lines gather."""
MOST = 20_000
"""Lines that wait at most."""
TRIES = 5
Where = tuple[str, str, str, str]
"""(account, region, log group, log stream)."""


class AccessLogs:
    def __init__(self, deps: ReconcilerDeps) -> None:
        self._deps = deps
        self._tasks = Tasks()
        self._waiting: dict[Where, list[tuple[int, bytes]]] = {}
        self._count = self._lost = 0
        self._flushing: asyncio.Task[None] | None = None

    def note(self, story: Story, answer: HttpAnswer) -> None:
        """Where the stage has a log, its line of this request."""
        stage = story.stage
        settings = stage.spec.members.get("AccessLogSettings") if stage is not None else None
        if stage is None or not settings:
            return
        if self._count >= MOST:
            self._lost += 1
            return
        now = self._deps.world.now()
        text = line(settings["Format"], variables(story, answer, max(0.0, now - story.asked.at)))
        account, region, group = stage.meta.account, stage.meta.region, settings["DestinationArn"].split(":", 6)[6]
        where = (account, region, group, f"{stage.spec.api}/{stage.spec.id}")
        self._waiting.setdefault(where, []).append((int(story.asked.at * 1000), text.encode()))
        self._count += 1
        if self._flushing is None:
            self._flushing = self._tasks.spawn(self._later(), "access logs")

    async def _later(self) -> None:
        await asyncio.sleep(GATHER)
        while self._waiting:
            await self._flush()
        self._flushing = None

    async def _flush(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for (account, region, group, stream), lines in waiting.items():
            aws = self._deps.aws_for(account, region, PRINCIPAL)
            for events in batches(lines):
                for attempt in range(TRIES):
                    try:
                        await put_lines(aws, group, stream, events)
                        break
                    except Temporary as passing:
                        await asyncio.sleep(max(passing.after, 0.5) * (attempt + 1))
                    except (ApiError, Permanent) as error:
                        log.error("%d lines of the access log %s are lost: %s", len(events), group, error)
                        break
                else:
                    log.error("%d lines of the access log %s are lost: no answer", len(events), group)
            self._count -= len(lines)
        if self._lost:
            log.error("%d lines of access logs are lost: there were too many", self._lost)
            self._lost = 0

    async def close(self) -> None:
        """What has gathered is kept."""
        await self._tasks.close()
        self._flushing = None
        await self._flush()
