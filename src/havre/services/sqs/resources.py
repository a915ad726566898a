"""Queues and message move tasks as they are stored; messages lie among the records (see broker.py)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from havre.kernel.resource import Kind, NoStatus, Resource

LARGEST = 1_048_576
"""Bytes of a message, and of all messages of a batch together."""

REUSE = 300


class Redrive(msgspec.Struct, frozen=True):
    """Messages that have been received ``lives`` times go to the queue ``target`` (its ARN)."""

    target: str
    lives: int


class RedriveAllow(msgspec.Struct, frozen=True):
    """``permission``: allowAll, denyAll or byQueue."""

    permission: str
    sources: tuple[str, ...] = ()


class QueueSpec(msgspec.Struct, frozen=True):
    """``uid`` tells this queue from an earlier one of the same name. Times in seconds, ``size`` in bytes; ``modified`` is
    when an attribute was last set."""

    uid: str
    fifo: bool = False
    delay: int = 0
    size: int = LARGEST
    retention: int = 345_600
    wait: int = 0
    visibility: int = 30
    policy: str = ""
    redrive: Redrive | None = None
    redrive_allow: RedriveAllow | None = None
    content_deduplication: bool = False
    deduplication_scope: str = "queue"
    throughput_limit: str = "perQueue"
    sse: bool = True
    kms_key: str = ""
    kms_reuse: int = REUSE
    tags: Mapping[str, str] = {}
    modified: float = 0.0


class MoveSpec(msgspec.Struct, frozen=True):
    """``source`` and ``target`` are ARNs of queues; target "" sends each message back where it came from. ``rate`` in
    messages a second, 0 for as fast as it goes. ``total`` is how many there were when the task began."""

    source: str
    target: str = ""
    rate: int = 0
    total: int = 0
    cancelled: bool = False


ACTIVE = ("RUNNING", "CANCELLING")


class MoveStatus(msgspec.Struct, frozen=True):
    """``state``: RUNNING, COMPLETED, CANCELLING, CANCELLED, FAILED. ``reason`` says why it failed."""

    state: str = "RUNNING"
    moved: int = 0
    reason: str = ""


Queue: TypeAlias = Resource[QueueSpec, NoStatus]
Move: TypeAlias = Resource[MoveSpec, MoveStatus]

QUEUE: Kind[QueueSpec, NoStatus] = Kind(
    "sqs.queue", QueueSpec, NoStatus, {"dead": lambda r: r.spec.redrive.target if r.spec.redrive is not None else None}
)
MOVE: Kind[MoveSpec, MoveStatus] = Kind("sqs.move", MoveSpec, MoveStatus, {"source": lambda r: r.spec.source})
KINDS = (QUEUE, MOVE)
