"""A message as the decisions see it: what it says is none of their business."""

from __future__ import annotations

import msgspec

VISIBLE, DELAYED, IN_FLIGHT = 0, 1, 2


class Message(msgspec.Struct, eq=False, gc=False):
    """``id`` rises in the order of sending. ``sent``, ``due``, ``taken`` and ``first_received`` in milliseconds since the
    epoch: when it was sent, when it becomes visible (of delayed ones and those in flight), when it was last and first
    received. ``received`` counts how often.

    ``body`` is what the owner of the queue keeps with it, None when that is to be fetched.
    """

    id: int
    sent: int
    due: int = 0
    group: str = ""
    received: int = 0
    first_received: int = 0
    taken: int = 0
    state: int = VISIBLE
    body: bytes | None = None
