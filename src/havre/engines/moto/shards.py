"""Kinesis's shards: as fast at the hundred thousandth record as at the first, records that expire, and shards that end.

moto looks through all records at each put and each read, keeps them for ever, moves those of a shard that is split into its
children, where consumers would see them a second time, and goes on putting records into the shard that was split.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from hashlib import md5
from itertools import islice
from typing import Any

from moto.kinesis import models
from moto.kinesis.utils import decompose_shard_iterator

from havre.engines.moto import pinned

MOST_BYTES = 10 << 20
"""Of the data that one answer has; a first record that is larger comes alone."""
CHECKED = 256
"""Records that are put between two looks for those that have expired."""


class Shard(models.Shard):
    """``records`` is in the order of its numbers, without a gap. ``last`` is the newest, even if it has expired. ``hours``
    is how long records stay."""

    last = 0
    hours = 24

    def put_record(self, partition_key: str, data: str, explicit_hash_key: str) -> str:
        self.last += 1
        self.records[self.last] = models.Record(partition_key, data, self.last, explicit_hash_key)
        if self.last % CHECKED == 0:
            self.expire()
        return str(self.last)

    def expire(self) -> None:
        before = pinned.now() - 3600 * self.hours
        while self.records and next(iter(self.records.values())).created_at < before:
            del self.records[next(iter(self.records))]

    def get_records(self, last_sequence_id: str, limit: int | None) -> tuple[list[Any], int, int]:
        if not self.records:
            return [], int(last_sequence_id), 0
        first = next(iter(self.records))
        start = max(int(last_sequence_id) + 1, first)
        # the newest are at the end: it is walked from the nearer side
        if start - first <= self.last - start:
            found = list(islice(self.records.values(), start - first, start - first + (limit or 10_000)))
        else:
            newest = list(islice(reversed(self.records.values()), max(0, self.last - start + 1)))
            found = newest[::-1][: limit or 10_000]
        if not found:
            return [], int(last_sequence_id), 0
        found = within(found, MOST_BYTES, _size)
        behind = self.records[self.last].created_at - found[-1].created_at
        return found, found[-1].sequence_number, int(behind * 1000)

    def get_min_sequence_number(self) -> int:
        return next(iter(self.records), self.last)

    def get_max_sequence_number(self) -> int:
        return self.last


def _size(record: Any) -> int:
    """Of the data, which moto has in base64."""
    return len(record.data) * 3 // 4 - str(record.data[-2:]).count("=")


def within(found: list[Any], most: int, size: Callable[[Any], int]) -> list[Any]:
    """The first ones, together no larger than ``most``, but one at least."""
    together = 0
    for number, each in enumerate(found):
        together += size(each)
        if together > most and number:
            return found[:number]
    return found


def _keeping_records(change: Callable[..., Any]) -> Callable[..., Any]:
    """A split or merge after which the parents have their records still, and the children none."""

    def kept(self: Any, *parts: Any, **named: Any) -> Any:
        records = {name: shard.records for name, shard in self.shards.items()}
        for shard in self.shards.values():
            shard.records = OrderedDict()
        try:
            return change(self, *parts, **named)
        finally:
            for name, shard in self.shards.items():
                shard.records = records.get(name, OrderedDict())
                shard.hours = self.retention_period_hours

    return kept


def _among_open(find: Callable[..., Any]) -> Callable[..., Any]:
    def found(self: Any, partition_key: str, explicit_hash_key: str) -> Any:
        find(self, partition_key, explicit_hash_key)  # raises what is wrong with the keys
        key = explicit_hash_key or md5(partition_key.encode(), usedforsecurity=False).hexdigest()
        number = int(key, 10 if explicit_hash_key else 16)
        shards = self.shards.values()
        return next((s for s in shards if s.is_open and s.starting_hash <= number <= s.ending_hash), None)

    return found


def _ending(get_records: Callable[..., Any]) -> Callable[..., Any]:
    """A closed shard that has been read to its end has no further iterator, so that consumers turn to its children."""

    def ended(self: Any, stream_arn: str, shard_iterator: str, limit: int | None) -> Any:
        following, records, behind = get_records(self, stream_arn, shard_iterator, limit)
        name, shard_id, at = decompose_shard_iterator(following)
        shard = self.describe_stream(stream_arn=stream_arn, stream_name=name).get_shard(shard_id)
        return None if not shard.is_open and int(at) >= shard.last else following, records, behind

    return ended


def _with_retention(change: Callable[..., Any]) -> Callable[..., Any]:
    def told(self: Any, stream_arn: str, stream_name: str, retention_period_hours: int) -> None:
        change(self, stream_arn, stream_name, retention_period_hours)
        stream = self.describe_stream(stream_arn=stream_arn, stream_name=stream_name)
        for shard in stream.shards.values():
            shard.hours = stream.retention_period_hours
            shard.expire()

    return told


def install() -> None:
    theirs: Any = models
    theirs.Shard = Shard
    stream, backend = theirs.Stream, theirs.KinesisBackend
    for name in ("split_shard", "merge_shards"):
        setattr(stream, name, _keeping_records(getattr(stream, name)))
    stream.get_shard_for_key = _among_open(stream.get_shard_for_key)
    backend.get_records = _ending(backend.get_records)
    for name in ("increase_stream_retention_period", "decrease_stream_retention_period"):
        setattr(backend, name, _with_retention(getattr(backend, name)))
    backend._send_stream_metrics = lambda self, *metrics, **named: None  # into a CloudWatch that nobody can ask
