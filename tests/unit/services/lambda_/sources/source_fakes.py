"""A queue, a stream and a function that fail on demand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from havre.core.event_sources.retries import StreamRecord
from havre.kernel.errors import ApiError
from havre.services.lambda_.sources.reader import Expired, Read, Shard
from havre.services.lambda_.sources.source import Invoked

QUEUE = "arn:aws:sqs:us-east-1:000000000000:work"
STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/work"
Function = Callable[[Mapping[str, Any]], Any]


def clock() -> float:
    return asyncio.get_running_loop().time()


class FakeQueue:
    """SQS as pollers use it; ``arrive`` puts a message in."""

    def __init__(self, visibility: float = 30) -> None:
        self.visibility = visibility
        self.messages: dict[str, dict[str, Any]] = {}
        self.told: list[tuple[str, Mapping[str, Any]]] = []
        self.refusal: Exception | None = None

    def arrive(self, *bodies: str) -> None:
        for body in bodies:
            id = str(len(self.messages))
            self.messages[id] = {"id": id, "body": body, "visible": 0.0, "received": 0, "deleted": False}

    @property
    def left(self) -> list[str]:
        return [m["body"] for m in self.messages.values() if not m["deleted"]]

    async def __call__(self, service: str, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        self.told.append((operation, request))
        await asyncio.sleep(0.001)
        if self.refusal is not None:
            raise self.refusal
        found: Mapping[str, Any] = await getattr(self, operation)(request)
        return found

    async def GetQueueAttributes(self, request: Any) -> Any:
        return {"Attributes": {"VisibilityTimeout": str(self.visibility)}}

    async def ReceiveMessage(self, request: Any) -> Any:
        until = clock() + request["WaitTimeSeconds"]
        while True:
            found = [m for m in self.messages.values() if not m["deleted"] and m["visible"] <= clock()]
            if found or clock() >= until:
                break
            await asyncio.sleep(0.1)
        for message in found[: request["MaxNumberOfMessages"]]:
            message["visible"] = clock() + self.visibility
            message["received"] += 1
        return {"Messages": [self._shown(m) for m in found[: request["MaxNumberOfMessages"]]]}

    def _shown(self, message: Any) -> Any:
        """As the service answers within the process: what is absent is None."""
        return {
            "MessageId": message["id"],
            "ReceiptHandle": message["id"],
            "Body": message["body"],
            "MD5OfBody": "md5",
            "Attributes": {
                "ApproximateReceiveCount": str(message["received"]),
                "MessageGroupId": message["body"][:1],
            },
            "MessageAttributes": {
                "n": {"StringValue": None, "BinaryValue": b"\x01", "DataType": "Binary"},
                "s": {"StringValue": "text", "BinaryValue": None, "DataType": "String"},
            },
            "MD5OfMessageAttributes": None,
        }

    async def DeleteMessageBatch(self, request: Any) -> Any:
        assert 1 <= len(request["Entries"]) <= 10
        for entry in request["Entries"]:
            self.messages[entry["ReceiptHandle"]]["deleted"] = True
        return {"Successful": [], "Failed": []}

    async def SendMessage(self, request: Any) -> Any:
        return {}

    async def Publish(self, request: Any) -> Any:
        return {}


class FakeAccess:
    """``function`` gets the event and answers, or raises; ``AssertionError`` is what it fails with in the function."""

    def __init__(self, aws: Any, function: Function, duration: float = 0.01) -> None:
        self.aws = aws
        self.function = function
        self.duration = duration
        self.events: list[Mapping[str, Any]] = []
        self.results: list[str] = []
        self.counted: dict[str, int] = {}
        self.times: dict[str, int] = {}
        self.measured: dict[str, list[float]] = {}
        self.polling: list[int] = []
        self.most = self._now_running = 0

    async def as_role(self) -> Any:
        return self.aws

    async def invoke(self, event: Mapping[str, Any]) -> Invoked:
        self._now_running += 1
        self.most = max(self.most, self._now_running)
        try:
            await asyncio.sleep(self.duration)
            self.events.append(event)
            answer = self.function(event)
            return Invoked(json.dumps(answer).encode(), "", "$LATEST", "r")
        except AssertionError:
            return Invoked(b'{"errorMessage": "it failed"}', "Unhandled", "$LATEST", "r")
        finally:
            self._now_running -= 1

    def queue_url(self, arn: str) -> str:
        return f"http://{arn}"

    def report(self, result: str) -> None:
        self.results.append(result)

    def count(self, metric: str, events: int) -> None:
        self.counted[metric] = self.counted.get(metric, 0) + events
        self.times[metric] = self.times.get(metric, 0) + 1

    def measure(self, metric: str, value: float, unit: str = "Count") -> None:
        self.measured.setdefault(metric, []).append(value)

    def pollers(self, running: int) -> None:
        self.polling.append(running)

    def now(self) -> float:
        return clock()


class FakeStream:
    """A Reader over shards that are lists. An iterator is ``shard/place``; every ``expires``-th read of one fails."""

    info = "KinesisBatchInfo"

    def __init__(self, *shards: Shard) -> None:
        self.known = list(shards)
        self.records: dict[str, list[StreamRecord]] = {shard.id: [] for shard in shards}
        self.closed: set[str] = set()
        self.reads = 0
        self.expires = 0
        self.gone = False

    def put(self, shard: str, partition: str, value: Any) -> None:
        sequence = f"{len(self.records[shard]):05}"
        event = {"eventSource": "test", "sequence": sequence, "partition": partition, "value": value}
        self.records[shard].append(StreamRecord(sequence, partition, clock(), event, 100))

    async def shards(self) -> list[Shard]:
        if self.gone:
            raise ApiError("ResourceNotFoundException", "no such stream")
        return list(self.known)

    async def iterator(self, shard: str, after: str) -> str:
        if shard not in self.records:
            raise ApiError("ResourceNotFoundException", "no such shard")
        return f"{shard}/{int(after) + 1 if after else 0}"

    async def read(self, iterator: str, most: int) -> Read:
        self.reads += 1
        if self.expires and self.reads % self.expires == 0:
            raise Expired
        shard, place = iterator.split("/")
        if shard not in self.records:
            raise ApiError("ResourceNotFoundException", "no such shard")
        found = self.records[shard][int(place) : int(place) + most]
        end = int(place) + len(found)
        over = shard in self.closed and end == len(self.records[shard])
        return Read(found, None if over else f"{shard}/{end}")
