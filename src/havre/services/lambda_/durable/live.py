"""An execution that is under way, as one process holds it."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from havre.core.durable import history
from havre.core.durable.model import EXECUTION, STARTED, Event, Execution, Op
from havre.core.durable.updates import Changed
from havre.services.lambda_.durable.shelf import Data, Shelf
from havre.store.ports import Put


class Live:
    """``unseen`` are operations that have changed since a run was told of them. ``token`` is the one that the next
    checkpoint has to bring, "" when none may come. ``answered``: of the last checkpoint its token, its ClientToken and
    what came of it."""

    def __init__(self, shelf: Shelf, execution: Execution, data: Data, ops: dict[str, Op]) -> None:
        self.execution = execution
        self.data = data
        self.ops = ops
        self.unseen: set[str] = set()
        self.token = ""
        self.running = False
        self.wanted = True
        """Whether a run is to begin although no operation has changed: the first one, one after a failure or a crash."""
        self.closing: Data | None = None
        self.answered: tuple[str, str, Mapping[str, Any]] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.through: asyncio.Event = asyncio.Event()
        self._shelf = shelf

    @property
    def arn(self) -> str:
        return self.execution.arn

    def fresh_token(self) -> str:
        self.token = base64.b64encode(secrets.token_bytes(24)).decode()
        return self.token

    async def save(
        self,
        execution: Execution,
        now: float,
        changes: Sequence[Changed] = (),
        events: Sequence[Event] = (),
        besides: Sequence[Put] = (),
    ) -> None:
        """Make changes durable. What history tells of ``changes`` comes before ``events``, which have no numbers yet. Raises
        Temporary: then nothing has changed."""
        told: list[Event] = []
        for each in changes:
            event = history.of_operation(each.op, execution.events + 1, now, each.delay)
            if event is not None:
                told.append(event)
                execution = replace(execution, events=event.number)
        for event in events:
            execution = replace(execution, events=execution.events + 1)
            told.append(replace(event, number=execution.events))
        before, known = self.execution, {each.op.id: self.ops.get(each.op.id) for each in changes}
        self.execution = execution
        self.ops.update({each.op.id: each.op for each in changes})
        try:
            await self._shelf.save(execution, self.data, [self.ops[id] for id in known], told, besides)
        except BaseException:
            self.execution = before
            for id, op in known.items():
                self.ops.pop(id, None)
                if op is not None:
                    self.ops[id] = op
            raise


def begun(execution: Execution) -> Op:
    """The execution's own operation."""
    return Op(execution.uid, EXECUTION, STARTED, 0, execution.started, execution.name)
