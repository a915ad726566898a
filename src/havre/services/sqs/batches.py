"""Batches: up to ten entries, each of which succeeds or fails by itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from havre.kernel.errors import ApiError
from havre.services.sqs.errors import repeated

MOST = 10
_ID = re.compile(r"[A-Za-z0-9_-]{1,80}").fullmatch
Entry = Mapping[str, Any]


def entries(operation: str, given: Sequence[Entry]) -> Sequence[Entry]:
    """Raises ApiError where the whole batch is refused."""
    if not given:
        raise ApiError("EmptyBatchRequest", f"There should be at least one {operation}RequestEntry in the request.")
    if len(given) > MOST:
        told = f"Maximum number of entries per request are {MOST}. You have sent {len(given)}."
        raise ApiError("TooManyEntriesInBatchRequest", told)
    ids = [each["Id"] for each in given]
    if not all(_ID(id) for id in ids):
        raise ApiError(
            "InvalidBatchEntryId",
            "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 "
            "letters long.",
        )
    if len(set(ids)) != len(ids):
        raise repeated(ids)
    return given


def failed(entry: Entry, error: ApiError) -> dict[str, Any]:
    return {"Id": entry["Id"], "SenderFault": True, "Code": error.code, "Message": error.message}


def answer(done: Sequence[Mapping[str, Any]], bad: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """AWS leaves out a list without entries, whatever its model says."""
    return {"Successful": done or None, "Failed": bad or None}
