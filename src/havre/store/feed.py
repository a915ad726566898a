"""Fan-out of what became durable: to subscribers of changes, and to those who wait for outbox messages."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from havre.kernel.resource import Key
from havre.store.ports import Change


class ChangeSubscription:
    """One consumer's ordered stream of changes. What gathered since the last look comes as one batch."""

    def __init__(self, feed: Feed, kinds: Iterable[str] | None) -> None:
        self._feed = feed
        self._kinds = None if kinds is None else frozenset(kinds)
        self._gathered: list[Change] = []
        self._waiting: asyncio.Future[None] | None = None
        self._closed = False

    def __aiter__(self) -> ChangeSubscription:
        return self

    async def __anext__(self) -> Sequence[Change]:
        while not self._gathered:
            if self._closed:
                raise StopAsyncIteration
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        return self.gathered()

    def gathered(self) -> Sequence[Change]:
        batch, self._gathered = self._gathered, []
        return batch

    def close(self) -> None:
        """Forget the consumer; one that waits gets StopAsyncIteration."""
        self._closed = True
        self._feed.forget(self)
        self._wake()

    def take(self, changes: Sequence[Change]) -> None:
        if self._kinds is None:
            self._gathered.extend(changes)
        else:
            kinds = self._kinds
            self._gathered.extend([c for c in changes if c.key.kind in kinds])
        if self._gathered:
            self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


class Feed:
    """All subscribers of one store."""

    def __init__(self) -> None:
        self._subscriptions: list[ChangeSubscription] = []

    def subscribe(self, kinds: Iterable[str] | None) -> ChangeSubscription:
        subscription = ChangeSubscription(self, kinds)
        self._subscriptions.append(subscription)
        return subscription

    def forget(self, subscription: ChangeSubscription) -> None:
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)

    def publish(self, changes: Sequence[Change]) -> None:
        if changes:
            for subscription in self._subscriptions:
                subscription.take(changes)

    def close(self) -> None:
        for subscription in list(self._subscriptions):
            subscription.close()


class Topics:
    """The id of each topic's last durable message, and who waits for a later one."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._waiting: dict[str, list[tuple[int, asyncio.Future[None]]]] = {}

    def note(self, topic: str, id: int) -> None:
        """A message has become durable."""
        self._last[topic] = id
        still = []
        for after, future in self._waiting.pop(topic, ()):
            if id <= after:
                still.append((after, future))
            elif not future.done():
                future.set_result(None)
        if still:
            self._waiting[topic] = still

    async def wait(self, topic: str, after: int) -> int:
        """Returns when there has been a message of the topic with an id beyond ``after``: the id of the last one."""
        if self._last.get(topic, 0) > after:
            return self._last[topic]
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(topic, []).append((after, future))
        await future
        return self._last[topic]


def whole(found: list[tuple[int, Key]], limit: int) -> list[tuple[int, Key]]:
    """At most ``limit`` entries, but never half of a revision: who continues behind the last one misses nothing."""
    if len(found) <= limit:
        return found
    end = limit
    while end < len(found) and found[end][0] == found[end - 1][0]:
        end += 1
    return found[:end]
