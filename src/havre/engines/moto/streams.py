"""Streams of DynamoDB: iterators that say themselves where they are, so that none has to be kept, and records as AWS has
them, which are one for each item that is another one than before.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.dynamodb.models import DynamoDBBackend, table
from moto.dynamodbstreams import models

from havre.engines.moto import pinned
from havre.engines.moto.shards import within

LIFE = 15 * 60
"""Seconds for which an iterator is good, as on AWS."""
KEPT = timedelta(hours=24)
"""For which a record is, as on AWS."""
MOST_BYTES = 1 << 20
"""Of the records of one answer."""
CHECKED = 256
"""Records that are added between two looks for those that are older."""
_TRIMMED = "The requested sequence number is no longer available."


class StreamError(Exception):
    """An error of DynamoDB Streams, with its code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Iterator:
    """``position`` is the sequence number of the next record. moto's answers ask for ``arn`` and ``to_json``."""

    def __init__(self, stream: str, position: int) -> None:
        text = json.dumps([stream, position, int(pinned.now())], separators=(",", ":"))
        self.arn = f"{stream}|1|{base64.b64encode(text.encode()).decode()}"


def _shard(backend: Any, stream: str) -> Any:
    parts = stream.split(":", 5)
    pieces = parts[5].split("/") if len(parts) == 6 else []
    found = backend.dynamodb.tables.get(pieces[1]) if len(pieces) == 4 else None
    if found is None or found.stream_shard is None or found.latest_stream_label != pieces[3]:
        raise StreamError("ResourceNotFoundException", f"Requested resource not found: Stream: {stream} not found")
    return found.stream_shard


def _get_shard_iterator(
    self: Any, arn: str, shard_id: str, shard_iterator_type: str, sequence_number: str | None = None
) -> Iterator:
    shard = _shard(self, arn)
    if shard.id != shard_id:
        told = f"Requested resource not found: Shard: {shard_id} in Stream: {arn} not found"
        raise StreamError("ResourceNotFoundException", told)
    if shard_iterator_type.endswith("_SEQUENCE_NUMBER") and not str(sequence_number or "").isdigit():
        raise StreamError("ValidationException", f"Invalid SequenceNumber: {sequence_number}")
    at, first = int(sequence_number or 0), shard.starting_sequence_number
    position = {
        "TRIM_HORIZON": first,
        "LATEST": first + len(shard.items),
        "AT_SEQUENCE_NUMBER": at,
        "AFTER_SEQUENCE_NUMBER": at + 1,
    }[shard_iterator_type]
    if position < first:
        raise StreamError("TrimmedDataAccessException", _TRIMMED)
    return Iterator(arn, position)


def _get_records(self: Any, iterator_arn: str, limit: int | None) -> dict[str, Any]:
    try:
        stream, position, at = json.loads(base64.b64decode(iterator_arn.split("|", 2)[2]))
    except (ValueError, IndexError):
        raise StreamError("ValidationException", "Invalid ShardIterator") from None
    if pinned.now() - at > LIFE:
        raise StreamError(
            "ExpiredIteratorException", "Iterator expired. The iterator was created more than 15 minutes ago."
        )
    shard = _shard(self, stream)
    at = position - shard.starting_sequence_number
    if at < 0:
        raise StreamError("TrimmedDataAccessException", _TRIMMED)
    items = within(shard.items[at : at + min(limit or 1000, 1000)], MOST_BYTES, _size)
    return {
        "NextShardIterator": Iterator(stream, position + len(items)).arn,
        "Records": [each.to_json() for each in items],
    }


def _size(item: Any) -> int:
    size: int = item.record["dynamodb"]["SizeBytes"]
    return size


def install() -> None:
    models.DynamoDBStreamsBackend.get_shard_iterator = _get_shard_iterator  # type: ignore[assignment,method-assign]
    models.DynamoDBStreamsBackend.get_records = _get_records  # type: ignore[method-assign]
    _install_records()
    _install_updates()


def _install_records() -> None:
    record: Any = table.StreamRecord
    made = record.__init__

    def placed(self: Any, of: Any, *parts: Any) -> None:
        """moto says us-east-1 of all, knows an older version, and times that are too exact."""
        made(self, of, *parts)
        self.record |= {"awsRegion": of.table_arn.split(":")[3], "eventVersion": "1.1"}
        change = self.record["dynamodb"]
        change["ApproximateCreationDateTime"] = change["ApproximateCreationDateTime"].replace(microsecond=0)

    record.__init__ = placed
    shard: Any = table.StreamShard
    add = shard.add

    def added(self: Any, old: Any, new: Any) -> None:
        """moto keeps them for ever, and has one of what was written and is as it was."""
        if old is not None and new is not None and old.to_json() == new.to_json():
            return
        add(self, old, new)
        if len(self.items) % CHECKED == 0:
            trim(self)

    shard.add = added


def _install_updates() -> None:
    backend: Any = DynamoDBBackend
    update = backend.update_item

    def updated(self: Any, table_name: str, *rest: Any, **named: Any) -> Any:
        """moto puts an item that is not there, with nothing but its key, and updates it then: two records, the first of
        what nobody wrote."""
        shard = getattr(self.tables.get(table_name), "stream_shard", None)
        before = _end(shard)
        item = update(self, table_name, *rest, **named)
        if shard is not None and _end(shard) == before + 2:
            whole, bare = shard.items.pop(), shard.items.pop()
            whole.record["dynamodb"]["SequenceNumber"] = bare.record["dynamodb"]["SequenceNumber"]
            shard.items.append(whole)
        return item

    backend.update_item = updated


def _end(shard: Any) -> int:
    """The number of the next record."""
    return 0 if shard is None else int(shard.starting_sequence_number) + len(shard.items)


def trim(shard: Any) -> None:
    """Records that are too old go; those behind them keep their numbers."""
    before = datetime.fromtimestamp(pinned.now(), UTC).replace(tzinfo=None) - KEPT
    old = 0
    while old < len(shard.items) and shard.items[old].record["dynamodb"]["ApproximateCreationDateTime"] < before:
        old += 1
    del shard.items[:old]
    shard.starting_sequence_number += old
