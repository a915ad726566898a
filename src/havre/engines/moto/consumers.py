"""Kinesis's consumers of streams, as AWS has them.

moto makes two of one name, with ARNs that a later one of the name has again; takes the others away when one goes by its
name; and fails at streams that are not there.
"""

from __future__ import annotations

from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.kinesis import models
from moto.kinesis.exceptions import ConsumerNotFound, ResourceInUseError, StreamNotFoundError

from havre.engines.moto import pinned

MOST = 20
"""Of a stream."""


class Consumer(models.Consumer):
    def __init__(self, consumer_name: str, account_id: str, region_name: str, stream_arn: str) -> None:
        super().__init__(consumer_name, account_id, region_name, stream_arn)
        self.consumer_arn = f"{self.consumer_arn}:{int(pinned.now())}"


def _stream(backend: Any, arn: str) -> Any:
    found = backend._find_stream_by_arn(arn)
    if found is None:
        raise StreamNotFoundError(arn.rpartition("/")[2], backend.account_id)
    return found


def _register(self: Any, stream_arn: str, consumer_name: str) -> Any:
    stream = _stream(self, stream_arn)
    if any(each.consumer_name == consumer_name for each in stream.consumers):
        raise ResourceInUseError(f"Consumer {consumer_name} under stream {stream.stream_name} already exists.")
    if len(stream.consumers) >= MOST:
        raise JsonRESTError("LimitExceededException", f"A stream has at most {MOST} registered consumers.")
    stream.consumers.append(models.Consumer(consumer_name, self.account_id, self.region_name, stream_arn))
    return stream.consumers[-1]


def _deregister(self: Any, stream_arn: str, consumer_name: str, consumer_arn: str) -> None:
    found = self.describe_stream_consumer(stream_arn, consumer_name, consumer_arn)
    stream = _stream(self, found.stream_arn)
    stream.consumers = [each for each in stream.consumers if each is not found]


def _described(describe: Any) -> Any:
    def told(self: Any, stream_arn: str, consumer_name: str, consumer_arn: str) -> Any:
        if not consumer_arn and not (stream_arn and consumer_name):
            raise ConsumerNotFound(consumer_name or "", self.account_id)
        if stream_arn:
            _stream(self, stream_arn)
        return describe(self, stream_arn, consumer_name, consumer_arn)

    return told


def _listed(listed: Any) -> Any:
    def told(self: Any, stream_arn: str, **named: Any) -> Any:
        _stream(self, stream_arn)
        return listed(self, stream_arn, **named)

    return told


def install() -> None:
    theirs: Any = models
    theirs.Consumer = Consumer
    backend = theirs.KinesisBackend
    backend.register_stream_consumer = _register
    backend.deregister_stream_consumer = _deregister
    backend.describe_stream_consumer = _described(backend.describe_stream_consumer)
    backend.list_stream_consumers = _listed(backend.list_stream_consumers)
