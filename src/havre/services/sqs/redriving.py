"""Carries out message move tasks. A task goes on after a restart; each message moves in one write, so none is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from havre.core.queueing import Message
from havre.kernel.errors import Temporary
from havre.kernel.world import World
from havre.services.sqs import queries
from havre.services.sqs.broker import Broker
from havre.services.sqs.live import Ask, Live, milliseconds
from havre.services.sqs.messages import Envelope
from havre.services.sqs.resources import ACTIVE, MOVE, Move, MoveStatus
from havre.store.ports import Store, Transaction

GROUP = 100
"""Messages that move at a time, when no rate is asked for."""
HIDDEN = 60_000
"""Milliseconds for which a message is in flight on its way."""
replace = msgspec.structs.replace
Read = Sequence[tuple[Message, Envelope]]


class Redriver:
    def __init__(self, broker: Broker, store: Store, world: World) -> None:
        self._broker = broker
        self._store = store
        self._world = world

    async def run(self, task: Move) -> None:
        """Until the task has ended. What a disk refuses is tried again."""
        while True:
            try:
                status = await self._step(task)
            except Temporary as refused:
                await asyncio.sleep(refused.after)
                continue
            found = await self._write(task, status)
            if found is None or found.status.state not in ACTIVE:
                return
            moved = found.status.moved - task.status.moved
            task = found
            await asyncio.sleep(moved / task.spec.rate if task.spec.rate else 0)

    async def _step(self, task: Move) -> MoveStatus:
        """Move one group; gives the task's status then."""
        spec, status = task.spec, task.status
        if spec.cancelled:
            return replace(status, state="CANCELLED")
        source = queries.by_arn(self._store, spec.source)
        if source is None:
            return replace(status, state="FAILED", reason="AWS.SimpleQueueService.NonExistentQueue")
        live, now = await self._broker.live(source), milliseconds(self._world.now())
        most = min(GROUP, spec.rate or GROUP, spec.total - status.moved)
        ask = Ask(most, HIDDEN, 0, 1000 * source.spec.retention)
        found = await self._broker.receive(live, ask, self._world.now) if most > 0 else ()
        if not found:
            return replace(status, state="COMPLETED")
        moved, reason = await self._move(task, live, found, now)
        state = "FAILED" if reason else "RUNNING"
        return replace(status, state=state, moved=status.moved + moved, reason=reason)

    async def _move(self, task: Move, live: Live, found: Read, now: int) -> tuple[int, str]:
        """How many have moved, and why not all of them ("" when they have). What has not is visible again."""
        by_target: dict[str, list[tuple[Message, Envelope]]] = {}
        for message, envelope in found:
            by_target.setdefault(task.spec.target or envelope.source, []).append((message, envelope))
        moved, reason = 0, ""
        for arn, messages in by_target.items():
            target = queries.by_arn(self._store, arn)
            if target is None:
                reason = "AWS.SimpleQueueService.NonExistentQueue" if arn else "CouldNotDetermineMessageSource"
                for message, _ in messages:
                    live.queue.change(message.id, message.received, 0, now)
                continue
            await self._broker.move(live, await self._broker.live(target), messages, self._world.uuid, now)
            moved += len(messages)
        return moved, reason

    async def _write(self, task: Move, status: MoveStatus) -> Move | None:
        """A cancellation that came meanwhile stays."""

        def change(tx: Transaction) -> Move | None:
            found = tx.get(MOVE, task.meta.account, task.meta.region, task.meta.name)
            if found is None:
                return None
            state = "CANCELLING" if found.spec.cancelled and status.state == "RUNNING" else status.state
            return tx.update(found, status=replace(status, state=state))

        return await self._store.transact(change)
