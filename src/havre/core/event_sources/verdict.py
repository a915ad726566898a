"""What a function's answer to a batch means."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec


class Verdict(msgspec.Struct, frozen=True):
    """``failed``: places in the batch of the items that failed, rising; all of them where the whole batch did."""

    failed: tuple[int, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.failed


def whole(size: int) -> Verdict:
    """The batch failed as one."""
    return Verdict(tuple(range(size)))


def of_answer(payload: bytes, identifiers: Sequence[str]) -> Verdict:
    """With ``ReportBatchItemFailures``: ``batchItemFailures[].itemIdentifier`` of ``identifiers``. No list, an empty or a
    null one is success; anything that cannot be understood, or names what is not in the batch, is the failure of all."""
    try:
        answer: Any = json.loads(payload) if payload.strip() else None
    except ValueError:
        return whole(len(identifiers))
    if answer is None or answer == {}:
        return Verdict()
    listed = answer.get("batchItemFailures") if isinstance(answer, dict) else ()
    if listed is None or listed == []:
        return Verdict()
    places = {identifier: place for place, identifier in enumerate(identifiers)}
    items = listed if isinstance(listed, list) else [None]
    named = [item.get("itemIdentifier") if isinstance(item, dict) else None for item in items]
    failed = {places[name] for name in named if isinstance(name, str) and name in places}
    if len(failed) < len(set(map(repr, named))):
        return whole(len(identifiers))
    return Verdict(tuple(sorted(failed)))
