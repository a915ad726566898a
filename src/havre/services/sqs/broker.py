"""Messages: kept among the records, ordered in memory.

What is in flight, and until when, is in memory only: after a crash it is visible again, as after its visibility timeout. A
message joins its queue when it is durable, and no earlier, so that nobody receives one that a crash would undo.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import msgspec

from havre.control.operation import HungUp
from havre.control.tasks import Tasks
from havre.core.queueing import Expired, Message, Sent
from havre.kernel.errors import ApiError
from havre.services.sqs.live import Ask, Live, Told, milliseconds
from havre.services.sqs.loading import load
from havre.services.sqs.messages import Draft, Envelope, Head, decode_envelope, encode
from havre.services.sqs.resources import Queue
from havre.services.sqs.sealing import Keys
from havre.store.durably import durably
from havre.store.ports import Clear, Put, Records, Take

log = logging.getLogger("havre.sqs")
IN_FLIGHT_LIMIT = 120_000
"""Messages of one queue that may be in flight. Beyond it a standard queue refuses those who do not wait; a FIFO queue, and
whoever waits, gets nothing for as long."""
HELD_BYTES = 64 << 20
"""Bytes of messages that are kept in memory, of all queues together; what is beyond is read when it is received."""
Change = Put | Take | Clear


class Broker:
    def __init__(self, records: Records) -> None:
        self.records = records
        self.limit = IN_FLIGHT_LIMIT
        self.hold = HELD_BYTES
        self.lives: dict[str, Live] = {}
        self.used: dict[str, float] = {}
        """When messages were sent to a queue, received or deleted last, in seconds since the epoch, by its uid."""
        self.keys = Keys()
        self._held = 0
        self._tasks = Tasks()

    # ------------------------------------------------------------------ queues

    async def live(self, queue: Queue) -> Live:
        """The queue with its messages, which are read when it is first asked for."""
        uid = queue.spec.uid
        found = self.lives.get(uid)
        if found is None:
            found = self.lives[uid] = Live(uid, queue.spec.fifo)
            found.loading = self._tasks.spawn(self._load(found), f"messages of {found.shelf}")
        if found.loading is not None:
            await asyncio.shield(found.loading)
        return found

    async def _load(self, live: Live) -> None:
        try:
            await load(self.records, live)
        except BaseException:
            self.lives.pop(live.uid, None)
            raise
        live.loading = None

    async def drop(self, uid: str) -> None:
        """The queue is no more: whoever waits hears of it, and its messages go."""
        self.used.pop(uid, None)
        live = self.lives.pop(uid, None) or Live(uid, False)
        live.gone = True
        live.wake_all()
        self._let_go(live.queue.messages.values())
        shelves = self.records.shelves(live.shelf)
        if shelves:
            await self._write([Clear(shelf) for shelf in shelves])

    async def purge(self, live: Live) -> None:
        self._let_go(live.queue.messages.values())
        last = live.queue.clear()
        live.counted.clear()
        await self._write([Clear(live.shelf, last), Clear(live.counts, last)])

    def counts(self, live: Live, now: int, before: int) -> tuple[int, int, int]:
        """Visible, in flight, delayed; what was sent before ``before`` is gone."""
        live.queue.tick(now)
        self.expire(live, before)
        return live.queue.visible, live.queue.in_flight, live.queue.delayed

    # ------------------------------------------------------------------ sending

    async def send(
        self, live: Live, drafts: Sequence[Draft], *, ids: Callable[[], str], sender: str, scope: str, now: int
    ) -> Sequence[Told]:
        """Keep messages, all or none; ``ids`` gives message ids. What was sent before, by its deduplication id, is not sent
        again: its first sender's answer is given once more. ``scope``: queue or messageGroup."""
        told: list[Told] = []
        fresh: list[tuple[Message, Sent | None]] = []
        changes: list[Change] = []
        known: list[asyncio.Future[None]] = []
        self._forget_sent(live, now)
        for draft in drafts:
            key = draft.dedup if scope == "queue" or not draft.dedup else f"{draft.group}\0{draft.dedup}"
            before = live.dedup.find(key, now) if key else None
            if before is not None:
                told.append(Told(before.message_id, before.number))
                if key in live.pending:
                    known.append(live.pending[key])
                continue
            message, envelope = self._made(live, draft, ids(), sender, now, changes)
            sent = self._remember(live, key, message, envelope, now, changes) if key else None
            fresh.append((message, sent))
            told.append(Told(envelope.message_id, message.id))
        if changes:
            done = durably(self.records, changes, lambda error: self._arrived(live, fresh, now, error))
            if not done.done():
                live.pending.update((sent.key, done) for _, sent in fresh if sent is not None)
            await asyncio.shield(done)
        for other in known:
            await asyncio.shield(other)
        return told

    def _made(
        self, live: Live, draft: Draft, message_id: str, sender: str, now: int, changes: list[Change]
    ) -> tuple[Message, Envelope]:
        envelope = Envelope(
            message_id, sender, draft.body, draft.md5, draft.attributes, draft.trace, "", draft.dedup, draft.sealed
        )
        due = now + 1000 * draft.delay if draft.delay else 0
        head = Head(now, due, draft.group)
        return self._kept(live, head, encode(envelope), changes), envelope

    def _kept(self, live: Live, head: Head, body: bytes, changes: list[Change]) -> Message:
        number = self.records.number(live.shelf)
        changes.append(Put(live.shelf, number, encode(head), body))
        return Message(number, head.sent, head.due, head.group, head.received, head.first_received, body=body)

    def _remember(
        self, live: Live, key: str, message: Message, envelope: Envelope, now: int, changes: list[Change]
    ) -> Sent:
        sent = Sent(key, now, envelope.message_id, message.id)
        mark = self.records.number(live.memory)
        changes.append(Put(live.memory, mark, encode(sent)))
        live.dedup.note(mark, sent)
        return sent

    def _forget_sent(self, live: Live, now: int) -> None:
        mark = live.dedup.expire(now)
        if mark:
            self.records.write([Clear(live.memory, mark)], _logged)

    def _arrived(
        self, live: Live, fresh: Iterable[tuple[Message, Sent | None]], now: int, error: Exception | None
    ) -> None:
        """The messages are durable, or never were."""
        count = 0
        for message, sent in fresh:
            if sent is not None:
                live.pending.pop(sent.key, None)
            if error is None:
                self._add(live, message, now)
                count += 1
            elif sent is not None:
                live.dedup.forget(sent)
        live.wake(min(count, live.queue.visible))
        live.set_alarm(now)

    def _add(self, live: Live, message: Message, now: int) -> None:
        body = message.body
        if body is not None:
            if self._held + len(body) > self.hold:
                message.body = None
            else:
                self._held += len(body)
        live.queue.add(message, now)

    def _let_go(self, messages: Iterable[Message]) -> None:
        for message in messages:
            if message.body is not None:
                self._held -= len(message.body)

    # ------------------------------------------------------------------ receiving

    async def receive(
        self, live: Live, ask: Ask, clock: Callable[[], float], hung_up: HungUp | None = None
    ) -> Sequence[tuple[Message, Envelope]]:
        """Waits for as long as ``ask`` says until there is something, or until whoever asked has gone. Raises ApiError
        OverLimit."""
        found = self._take(live, ask, milliseconds(clock()))
        if found or not ask.wait:
            return found
        if hung_up is None:
            return await self._await(live, ask, clock)
        waiting = self._tasks.spawn(self._await(live, ask, clock), f"a receive from {live.shelf}")
        watching = self._tasks.spawn(cast(Any, hung_up()), f"whoever receives from {live.shelf}")
        try:
            await asyncio.wait((waiting, watching), return_when=asyncio.FIRST_COMPLETED)
            return waiting.result() if waiting.done() else ()
        finally:
            waiting.cancel()
            watching.cancel()

    async def _await(self, live: Live, ask: Ask, clock: Callable[[], float]) -> Sequence[tuple[Message, Envelope]]:
        now = milliseconds(clock())
        deadline = now + ask.wait
        while not live.gone:
            found = self._take(live, ask, now)
            if found or now >= deadline:
                return found
            await live.sleep(deadline, now)
            now = milliseconds(clock())
        return ()

    def _take(self, live: Live, ask: Ask, now: int) -> Sequence[tuple[Message, Envelope]]:
        queue = live.queue
        self.expire(live, now - ask.retention)
        if ask.attempt:
            again = live.attempts.again(ask.attempt, queue.messages, now)
            if again is not None:
                queue.hide_again(again, ask.hidden, now)
                live.attempts.note(ask.attempt, again, now)
                return self.read(live, again)
        room = self.limit - queue.in_flight
        if room <= 0:
            if ask.wait or queue.fifo:
                return ()
            raise ApiError("OverLimit", "The maximum number of in flight messages is reached.", 403)
        given, dead = queue.receive(now, min(ask.most, room), ask.hidden, ask.lives if ask.target is not None else 0)
        if dead and ask.target is not None:
            self._bury(live, ask.target, dead, ask.source, now)
        if ask.attempt and given:
            live.attempts.note(ask.attempt, given, now)
        self._count(live, given, ask.lives)
        if given:
            live.wake(queue.visible)
            live.set_alarm(now)
        return self.read(live, given)

    def _count(self, live: Live, given: Sequence[Message], lives: int) -> None:
        """Write behind how often messages have been received, where it matters: nobody waits for it."""
        counts: list[Change] = [
            Put(live.counts, m.id, encode((m.received, m.first_received))) for m in given if lives or m.received > 1
        ]
        if counts:
            live.counted.update(m.number for m in counts if isinstance(m, Put))
            self.records.write(counts, _logged)

    def read(self, live: Live, messages: Sequence[Message]) -> Sequence[tuple[Message, Envelope]]:
        """The messages with what they say."""
        absent = [m for m in messages if m.body is None]
        bodies = dict(zip([m.id for m in absent], self.records.bodies(live.shelf, [m.id for m in absent]), strict=True))
        read = []
        for message in messages:
            body = message.body if message.body is not None else bodies[message.id]
            if body is None:
                log.error("message %d of %s has no record", message.id, live.shelf)
                live.queue.remove(message.id)
                continue
            read.append((message, decode_envelope(body)))
        return read

    # ------------------------------------------------------------------ removing

    async def delete(self, live: Live, receipts: Sequence[tuple[int, int]], now: int) -> Sequence[bool]:
        """Remove what was received by these (id, receipt); False where the receipt's time is over (FIFO queues only)."""
        gone: list[Message] = []
        good: list[bool] = []
        for id, receipt in receipts:
            try:
                message = live.queue.delete(id, receipt, now)
            except Expired:
                good.append(False)
                continue
            good.append(True)
            if message is not None:
                gone.append(message)
        if gone:

            def done(error: Exception | None) -> None:
                if error is not None:
                    self._come_back(live, gone, now)

            self._let_go(gone)
            live.wake(live.queue.visible)
            await asyncio.shield(durably(self.records, self._removal(live, gone), done))
        return good

    def _come_back(self, live: Live, gone: Iterable[Message], now: int) -> None:
        """The disk did not let them go."""
        for message in gone:
            message.due = 0
            self._add(live, message, now)

    def _removal(self, live: Live, gone: Sequence[Message]) -> list[Change]:
        changes: list[Change] = [Take(live.shelf, m.id) for m in gone]
        for message in gone:
            if message.id in live.counted:
                live.counted.discard(message.id)
                changes.append(Take(live.counts, message.id))
        return changes

    def expire(self, live: Live, before: int) -> None:
        """What was sent before that time is gone at once; nobody waits until the disk knows."""
        while gone := live.queue.expire(before):
            self._let_go(gone)
            self.records.write(self._removal(live, gone), _logged)

    def _bury(self, live: Live, target: Live, dead: Sequence[Message], source: str, now: int) -> None:
        """To the dead-letter queue, in one write: with its message id, its count and (standard queues) its age. Of a FIFO
        queue the message id becomes the deduplication id, as in AWS."""
        moved = []
        changes: list[Change] = []
        for message, envelope in self.read(live, dead):
            fifo = target.queue.fifo
            sent, dedup = (now, envelope.message_id) if fifo else (message.sent, "")
            head = Head(sent, 0, message.group, message.received, message.first_received)
            letter = msgspec.structs.replace(envelope, source=source, dedup=dedup)
            moved.append(self._kept(target, head, encode(letter), changes))
        self._transfer(live, target, dead, moved, now, changes)

    def _transfer(
        self,
        live: Live,
        target: Live,
        gone: Sequence[Message],
        moved: Sequence[Message],
        now: int,
        changes: list[Change],
    ) -> asyncio.Future[None]:
        def done(error: Exception | None) -> None:
            if error is None:
                self._arrived(target, [(m, None) for m in moved], now, None)
                return
            self._come_back(live, gone, now)

        self._let_go(gone)
        return durably(self.records, [*self._removal(live, gone), *changes], done)

    async def move(
        self, live: Live, target: Live, messages: Sequence[tuple[Message, Envelope]], ids: Callable[[], str], now: int
    ) -> None:
        """Send received messages anew to another queue, as a move task does: each is a new message there."""
        changes: list[Change] = []
        moved = []
        gone = [m for m, _ in messages if live.queue.remove(m.id) is not None]
        left = {m.id for m in gone}
        for message, envelope in messages:
            if message.id in left:
                renewed = msgspec.structs.replace(envelope, message_id=ids(), source="")
                moved.append(self._kept(target, Head(now, 0, message.group), encode(renewed), changes))
        if gone:
            await asyncio.shield(self._transfer(live, target, gone, moved, now, changes))

    # ------------------------------------------------------------------ the disk

    async def _write(self, changes: Sequence[Change]) -> None:
        await asyncio.shield(durably(self.records, changes))


def _logged(error: Exception | None) -> None:
    if error is not None:
        log.warning("a queue's housekeeping was not written: %s", error)
