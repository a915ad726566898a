"""Items of tables with a time to live: DynamoDB itself deletes them once it is over, and says so in the table's stream."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from typing import Any

from moto.dynamodb.models import dynamodb_backends

from havre.engines.moto import pinned

EVERY = float(os.environ.get("HAVRE_BORROWED_EXPIRES_EVERY", "60"))
"""Seconds between two looks."""
AT_ONCE = 1000
"""Items that one change deletes at most: others are served in between."""
OLDEST = 5 * 365 * 86_400
"""Seconds: what should have gone before that is taken for a mistake, and stays, as on AWS."""
_ITSELF = {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}


def due() -> bool:
    """Whether there is an item whose time is over."""
    return next(_over(), None) is not None


def expire() -> None:
    """Delete those whose time is over."""
    for table, item in list(islice(_over(), AT_ONCE)):
        if table.delete_item(item.hash_key, item.range_key) is not None and table.stream_shard is not None:
            table.stream_shard.items[-1].record["userIdentity"] = dict(_ITSELF)


def _over() -> Iterator[tuple[Any, Any]]:
    now = pinned.now()
    for regions in list(dynamodb_backends.values()):
        for backend in list(regions.values()):
            for table in backend.tables.values():
                if table.ttl.get("TimeToLiveStatus") == "ENABLED":
                    name = table.ttl["AttributeName"]
                    yield from ((table, item) for item in _items(table) if _is_over(item, name, now))


def _items(table: Any) -> Iterator[Any]:
    for found in table.items.values():
        if table.has_range_key:
            yield from found.values()
        else:
            yield found


def _is_over(item: Any, name: str, now: float) -> bool:
    """A time is a number, in seconds since the epoch; everything else says none."""
    value = item.attrs.get(name)
    if value is None or value.type != "N":
        return False
    return now - OLDEST < float(value.value) < now
