"""Messages of a queue, in batches, to a function: each is deleted when the function has taken it.

Usually one receiver fills the batches. Where pollers are provisioned, each is a receiver with ten batches under way: the
least are there before there is a message, and more come, up to the most, while there are more batches than they take.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from havre.control.tasks import Tasks
from havre.core.event_sources.filters import Filters
from havre.core.event_sources.growth import EVERY, Growth
from havre.core.event_sources.verdict import Verdict, of_answer, whole
from havre.kernel.errors import ApiError, Permanent, Temporary
from havre.services.lambda_.sources.counts import DELETED, FAILED_INVOKE, FILTERED_OUT, INVOKED, POLLED
from havre.services.lambda_.sources.source import FAILED, MOST_BYTES, OK, Access, Source, problem

log = logging.getLogger("havre.lambda")
RECEIVED = 10
"""Messages that one call gives at most."""
LONG_POLL = 20
PER_POLLER = 10
"""Batches under way for each provisioned poller."""
FIRST_WAIT, LONGEST_WAIT = 0.5, 20.0
Message = Mapping[str, Any]


class QueuePoller:
    def __init__(self, source: Source, access: Access) -> None:
        self._source = source
        self._access = access
        self._filters = Filters(source.filters)
        self._url = ""
        self._visible = 30.0
        self._growth = Growth(source.at_once, PER_POLLER * source.pollers) if source.pollers else Growth(source.at_once)
        self._under_way = Tasks()
        self._receivers: dict[int, asyncio.Task[None]] = {}
        self._told = (0.0, 0)
        self._gathering = 0
        self._ended = asyncio.Event()
        self._finishing = asyncio.Event()

    def finish(self) -> None:
        """Let ``run`` return as soon as all that was received has been dealt with."""
        self._finishing.set()

    async def run(self) -> None:
        """Until ``finish``. Cancelled, it lets go: messages under way come back after their visibility timeout."""
        receivers = Tasks()
        try:
            while not self._finishing.is_set():
                for number in range(self._pollers):
                    if number not in self._receivers or self._receivers[number].done():
                        name = f"poller {number} of {self._source.arn}"
                        self._receivers[number] = receivers.spawn(self._receiver(number), name)
                self._tell_pollers()
                await self._pause(EVERY if self._source.pollers else None)
            await receivers.close()
            await self._under_way.settle()
        finally:
            await receivers.close()
            await self._under_way.close()

    def _tell_pollers(self) -> None:
        """Once a minute, and when there are more or fewer."""
        running = (self._access.now() // 60, sum(not task.done() for task in self._receivers.values()))
        if self._source.pollers and running != self._told:
            self._told = running
            self._access.pollers(running[1])

    @property
    def _pollers(self) -> int:
        """How many there are to be now."""
        return max(1, self._growth.allowed // PER_POLLER if self._source.pollers else 1)

    async def _receiver(self, number: int) -> None:
        """Until there are to be fewer. One that fails by a bug goes on."""
        wait = FIRST_WAIT
        while number < self._pollers and not self._finishing.is_set():
            try:
                await self._turn()
                wait = FIRST_WAIT
            except Temporary as passing:
                await asyncio.sleep(max(wait, passing.after))
            except (ApiError, Permanent) as refusal:
                self._url = ""
                self._access.report(problem(getattr(refusal, "message", "") or str(refusal)))
                await asyncio.sleep(wait)
                wait = min(LONGEST_WAIT, 2 * wait)
            except Exception:
                log.exception("a poller of %s has failed", self._source.arn)
                await asyncio.sleep(EVERY)

    async def _pause(self, seconds: float | None) -> None:
        """As long, or until it is to finish."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._finishing.wait()

    async def _turn(self) -> None:
        """One batch is gathered and sent on its way, when there is room for one."""
        while len(self._under_way) + self._gathering >= self._growth.allowed:
            self._growth.wanted()
            self._ended.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await self._ended.wait()
            self._growth.look(self._access.now())
        self._gathering += 1
        try:
            if not self._url:
                await self._find()
            batch, received = await self._gather()
        finally:
            self._gathering -= 1
        if batch:
            task = self._under_way.spawn(self._handle(batch, received), f"a batch of {self._source.arn}")
            task.add_done_callback(lambda _: self._ended.set())

    async def _find(self) -> None:
        aws = await self._access.as_role()
        url = self._access.queue_url(self._source.arn)
        names = ["VisibilityTimeout"]
        attributes = await aws("sqs", "GetQueueAttributes", {"QueueUrl": url, "AttributeNames": names})
        self._visible = float(attributes["Attributes"]["VisibilityTimeout"])
        self._url = url

    async def _gather(self) -> tuple[list[Message], float]:
        """A batch, and when its first message was received. What fills an event is not added to."""
        batch: list[Message] = []
        began = 0.0
        size = 0
        while len(batch) < self._source.batch and size < MOST_BYTES:
            left = began + self._source.window - self._access.now() if batch else LONG_POLL
            asked = min(RECEIVED, self._source.batch - len(batch))
            try:
                found = await self._receive(asked, min(LONG_POLL, max(0, round(left))))
            except asyncio.CancelledError:
                if batch and self._finishing.is_set():  # what is there already is handed over
                    break
                raise
            if found and not batch:
                began = self._access.now()
            batch += found
            size += sum(len(message.get("Body", "")) for message in found)
            if not found:
                self._growth.drained()
            if self._over(batch, len(found) < asked, began):
                break
        return batch, began

    def _over(self, batch: Sequence[Message], drained: bool, began: float) -> bool:
        """Whether a batch that is not full is not waited for any longer."""
        if not batch:
            return True
        if self._source.window > 0:
            return self._access.now() >= began + self._source.window
        return drained

    async def _receive(self, most: int, wait: int) -> list[Message]:
        aws = await self._access.as_role()
        request = {
            "QueueUrl": self._url,
            "MaxNumberOfMessages": most,
            "WaitTimeSeconds": wait,
            "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        }
        found = list((await aws("sqs", "ReceiveMessage", request)).get("Messages") or ())
        self._access.count(POLLED, len(found))
        return found

    async def _handle(self, batch: Sequence[Message], received: float) -> None:
        held_up: set[str] = set()
        for each in parts(await self._admitted(batch)):
            part = [pair for pair in each if self._group(pair[0]) not in held_up]
            if not part:
                continue
            begun = self._access.now()
            verdict = await self._invoke([record for _, record in part], received)
            if verdict.failed:
                self._access.count(FAILED_INVOKE, len(verdict.failed))
            self._growth.ended(self._access.now() - begun)
            failed = set(verdict.failed)
            done = [message for place, (message, _) in enumerate(part) if place not in failed]
            self._access.report(FAILED if verdict.failed and len(verdict.failed) == len(part) else OK)
            held_up.update(group for place in failed if (group := self._group(part[place][0])))
            if done:
                self._access.count(DELETED, await self._delete(done))

    async def _admitted(self, batch: Sequence[Message]) -> Sequence[Pair]:
        """What no filter lets through is deleted."""
        left: list[Pair] = []
        refused: list[Message] = []
        for message in batch:
            record = self._record(message)
            if self._filters.admits(record):
                left.append((message, record))
            else:
                refused.append(message)
        await self._delete(refused)
        if self._source.filters:
            self._access.count(FILTERED_OUT, len(refused))
        return left

    def _group(self, message: Message) -> str:
        """Of a FIFO queue, "" else: what stands behind a message that failed is not handed over before it."""
        if not self._source.arn.endswith(".fifo"):
            return ""
        return str((message.get("Attributes") or {}).get("MessageGroupId") or "")

    async def _invoke(self, records: Sequence[Mapping[str, Any]], received: float) -> Verdict:
        """What the function says. One that has no room is asked again for as long as nobody else gets the messages."""
        wait = FIRST_WAIT
        while True:
            self._access.count(INVOKED, len(records))
            try:
                invoked = await self._access.invoke({"Records": records})
                break
            except Temporary as passing:
                wait = min(LONGEST_WAIT, 2 * wait)
                pause = max(wait, passing.after)
                if self._finishing.is_set() or self._access.now() + pause > received + self._visible - 1:
                    return whole(len(records))
                self._access.count(FAILED_INVOKE, len(records))
                await self._pause(pause)
            except (ApiError, Permanent) as refusal:
                self._access.report(problem(getattr(refusal, "message", "") or str(refusal)))
                return whole(len(records))
        if invoked.error:
            return whole(len(records))
        if not self._source.partial:
            return Verdict()
        return of_answer(invoked.payload, [str(record["messageId"]) for record in records])

    async def _delete(self, messages: Sequence[Message]) -> int:
        """Gives how many are deleted. A deletion that fails is no loss: the message comes once more."""
        deleted = 0
        for begin in range(0, len(messages), RECEIVED):
            entries = [
                {"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]}
                for n, message in enumerate(messages[begin : begin + RECEIVED])
            ]
            try:
                aws = await self._access.as_role()
                answer = await aws("sqs", "DeleteMessageBatch", {"QueueUrl": self._url, "Entries": entries})
                deleted += len(entries) - len(answer.get("Failed") or ())
            except (ApiError, Temporary, Permanent) as refusal:
                self._access.report(problem(f"messages cannot be deleted: {refusal}"))
        return deleted

    def _record(self, message: Message) -> dict[str, Any]:
        record = {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message.get("Body", ""),
            "attributes": dict(message.get("Attributes") or {}),
            "messageAttributes": {
                name: _attribute(value) for name, value in (message.get("MessageAttributes") or {}).items()
            },
            "md5OfBody": message.get("MD5OfBody", ""),
            "eventSource": "aws:sqs",
            "eventSourceARN": self._source.arn,
            "awsRegion": self._source.arn.split(":")[3],
        }
        if message.get("MD5OfMessageAttributes"):
            record["md5OfMessageAttributes"] = message["MD5OfMessageAttributes"]
        return record


def _attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    """Within the process absent members may be there as None."""
    import base64

    told: dict[str, Any] = {"stringListValues": [], "binaryListValues": [], "dataType": value["DataType"]}
    if value.get("StringValue") is not None:
        told["stringValue"] = value["StringValue"]
    if value.get("BinaryValue") is not None:
        told["binaryValue"] = base64.b64encode(value["BinaryValue"]).decode()
    return told


Pair = tuple[Message, Mapping[str, Any]]


def parts(records: Sequence[Pair]) -> Iterator[Sequence[Pair]]:
    """No event is larger than Lambda takes."""
    part: list[Pair] = []
    size = 0
    for pair in records:
        weight = len(json.dumps(pair[1])) + 2
        if part and size + weight > MOST_BYTES - 64:
            yield part
            part, size = [], 0
        part.append(pair)
        size += weight
    if part:
        yield part
