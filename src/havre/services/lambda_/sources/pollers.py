"""Which mappings are polled now: one poller for each that is enabled, by what it was changed to last.

A poller that is not to go on finishes what its function has of it. One of a stream begins when its predecessor has finished,
so that no shard is with the function twice; a mapping is Disabled, or gone, when all have.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from typing import Any

from havre.control.deps import ReconcilerDeps
from havre.control.tasks import Tasks
from havre.core.event_sources.retries import Limits
from havre.kernel.errors import ApiError, Conflict, Gone, Temporary
from havre.kernel.resource import Key, scoped
from havre.services.lambda_ import mapping_states, queries
from havre.services.lambda_.resources import ALIAS, FUNCTION, MAPPING, MappingR, qualified
from havre.services.lambda_.rules.mappings import EVENT_COUNT
from havre.services.lambda_.sources.access import RoleAccess
from havre.services.lambda_.sources.checkpoints import Checkpoints
from havre.services.lambda_.sources.dynamodb import DynamodbReader
from havre.services.lambda_.sources.kinesis import ConsumerReader, KinesisReader
from havre.services.lambda_.sources.queue import PER_POLLER, QueuePoller
from havre.services.lambda_.sources.source import Source, problem
from havre.services.lambda_.sources.stream import StreamPoller
from havre.store.ports import Change, Reader, Transaction

log = logging.getLogger("havre.lambda")
_RETRY = 1.0
TOLD_EVERY = 1.0
"""Seconds between writes of what pollers say of their last turn: most of them say the same as before."""
NO_FUNCTION = problem("The function does not exist")


class Work:
    """One mapping's polling by one ``source``; a poller that fails by a bug begins anew."""

    def __init__(self, source: Source, make: Callable[[], QueuePoller | StreamPoller]) -> None:
        self.source = source
        self._make = make
        self._poller: QueuePoller | StreamPoller | None = None
        self._finishing = False

    def finish(self) -> None:
        """Let ``run`` return as soon as what is under way has ended."""
        self._finishing = True
        if self._poller is not None:
            self._poller.finish()

    async def run(self, before: Collection[asyncio.Task[Any]]) -> None:
        """Until ``finish``; it begins when ``before`` have ended."""
        if before:
            await asyncio.wait(before)
        while not self._finishing:
            try:
                self._poller = self._make()
                await self._poller.run()
            except Exception:
                log.exception("the poller of %s has failed", self.source.arn)
                await asyncio.sleep(_RETRY)


class Pollers:
    def __init__(self, deps: ReconcilerDeps) -> None:
        self._deps = deps
        self._store = deps.store
        self._running: dict[Key, tuple[Work, asyncio.Task[Any]]] = {}
        self._finishing: dict[Key, set[asyncio.Task[Any]]] = {}
        self._tasks = Tasks()
        self._results: dict[Key, str] = {}
        self.progress: float | None = None

    async def run(self) -> None:
        """For ever."""
        changes = self._store.subscribe([MAPPING.name, FUNCTION.name, ALIAS.name])
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._tell())
                for mapping in self._store.list(MAPPING):
                    await self._adapt(mapping.key)
                async for batch in changes:
                    for key in self._touched(batch):
                        await self._adapt(key)
        finally:
            changes.close()
            await self._tasks.close()

    def _touched(self, batch: Iterable[Change]) -> Iterable[Key]:
        keys: dict[Key, None] = {}
        for change in batch:
            key = change.key
            if key.kind == MAPPING.name:
                keys[key] = None
                continue
            function = key.name.partition(":")[0]
            for mapping in self._store.find(MAPPING, "function", scoped(key.account, key.region, function)):
                keys[mapping.key] = None
        return keys

    async def _adapt(self, key: Key) -> None:
        """Make it so. What cannot be written down now is tried again: the poller runs meanwhile."""
        while True:
            mapping = self._store.get(MAPPING, key.account, key.region, key.name)
            source = source_of(self._store, mapping) if mapping is not None and mapping_states.polled(mapping) else None
            self._poll(key, source)
            try:
                finished = source is not None or key not in self._finishing
                if mapping is not None and mapping_states.settling(mapping) and finished:
                    await self._settle(mapping)
                break
            except (Conflict, Gone):
                continue
            except Temporary as passing:
                await asyncio.sleep(max(_RETRY, passing.after))
        if mapping is not None and mapping_states.polled(mapping) and source is None:
            self._results[key] = NO_FUNCTION

    def _poll(self, key: Key, source: Source | None) -> None:
        running = self._running.get(key)
        if running is not None:
            work, task = running
            if work.source == source and not task.done():
                return
            del self._running[key]
            work.finish()
            self._finishing.setdefault(key, set()).add(task)
            task.add_done_callback(lambda ended: self._finished(key, ended))
        if source is not None:
            work = Work(source, lambda: self._poller(key, source))
            before = () if source.service == "sqs" else tuple(self._finishing.get(key, ()))
            self._running[key] = (work, self._tasks.spawn(work.run(before), f"poller of {source.arn}"))

    def _finished(self, key: Key, task: asyncio.Task[Any]) -> None:
        left = self._finishing[key]
        left.discard(task)
        if not left:
            del self._finishing[key]
            if not task.cancelled():
                self._tasks.spawn(self._adapt(key), f"settling {key.name}")

    def _poller(self, key: Key, source: Source) -> QueuePoller | StreamPoller:
        access = RoleAccess(self._deps, source, self._reporter(key))
        if source.service == "sqs":
            return QueuePoller(source, access)
        made: type[KinesisReader | DynamodbReader] = DynamodbReader
        if source.service == "kinesis":
            made = ConsumerReader if "/consumer/" in source.arn else KinesisReader
        return StreamPoller(source, made(source, access), access, self._checkpoints(key))

    def _checkpoints(self, key: Key) -> Checkpoints:
        return Checkpoints(self._store, key.account, key.region, key.name)

    def _reporter(self, key: Key) -> Callable[[str], None]:
        def report(result: str) -> None:
            self._results[key] = result
            self.progress = self._deps.world.now()

        return report

    async def _settle(self, mapping: MappingR) -> None:
        """Raises Conflict, Gone, Temporary."""
        if mapping.meta.deleting is not None:
            await self._checkpoints(mapping.key).forget()
            await self._store.transact(lambda tx: tx.remove(mapping))
            return
        await self._store.transact(lambda tx: tx.update(mapping, status=mapping_states.settled(mapping)))

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(TOLD_EVERY)
            results, self._results = self._results, {}
            if not results:
                continue
            try:
                await self._store.transact(lambda tx, told=results: _write_results(tx, told))  # type: ignore[misc]
            except (Conflict, Gone, Temporary) as passing:
                log.debug("what pollers say is not written down: %s", passing)


def _write_results(tx: Transaction, results: dict[Key, str]) -> None:
    for key, result in results.items():
        mapping = tx.get(MAPPING, key.account, key.region, key.name)
        if mapping is not None and mapping.status.result != result:
            tx.update(mapping, status=mapping_states.reported(mapping, result))


def source_of(reader: Reader, mapping: MappingR) -> Source | None:
    """None while there is no such function, version or alias."""
    spec, meta = mapping.spec, mapping.meta
    name = qualified(spec.function, spec.qualifier) if spec.qualifier else spec.function
    try:
        found = queries.resolve(reader, meta.account, meta.region, name)
        config = queries.record(reader, found.function, found.version).spec.config
    except ApiError:
        return None
    return Source(
        id=spec.uuid,
        arn=spec.source,
        account=meta.account,
        region=meta.region,
        function=found.arn,
        role=config.role,
        batch=spec.batch,
        window=spec.window,
        filters=spec.filters,
        limits=Limits(spec.retries, spec.record_age, spec.bisect),
        partial=spec.partial_failures,
        lanes=1 if spec.tumbling else spec.parallelization,
        tumbling=spec.tumbling,
        start=spec.position or "LATEST",
        start_at=spec.position_at if spec.position_at is not None else meta.created,
        on_failure=spec.on_failure,
        at_once=spec.maximum_concurrency or PER_POLLER * (spec.maximum_pollers or 100),
        pollers=spec.minimum_pollers or 0,
        counted=EVENT_COUNT in (spec.metrics or ()),
    )
