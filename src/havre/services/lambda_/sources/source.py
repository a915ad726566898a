"""An event source mapping, as a poller works by it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from havre.control.operation import Aws
from havre.core.event_sources.retries import Limits

MOST_BYTES = 6 * 1024 * 1024
"""Of the event that one invocation gets."""


class Source(msgspec.Struct, frozen=True):
    """``function`` is the ARN to invoke. ``window`` (batching) and ``tumbling`` in seconds, 0 for none. ``start`` is
    TRIM_HORIZON, LATEST or AT_TIMESTAMP with ``start_at``. ``on_failure`` is the ARN of the destination, ``at_once`` the
    batches under way at most, ``lanes`` those of one shard. ``pollers`` of a queue at least; 0: they are not provisioned."""

    id: str
    arn: str
    account: str
    region: str
    function: str
    role: str
    batch: int
    window: float = 0
    filters: tuple[str, ...] = ()
    limits: Limits = Limits()
    partial: bool = False
    lanes: int = 1
    tumbling: float = 0
    start: str = "LATEST"
    start_at: float = 0
    on_failure: str = ""
    at_once: int = 1000
    pollers: int = 0
    counted: bool = False
    """Whether its events are counted in metrics of its own."""

    @property
    def service(self) -> str:
        return self.arn.split(":")[2]


class Invoked(msgspec.Struct, frozen=True):
    """What an invocation gave. ``error`` is X-Amz-Function-Error ("" none)."""

    payload: bytes
    error: str
    version: str
    request_id: str


class Access(Protocol):
    """What a poller may use. Calls raise ApiError, and Temporary for what passes by itself."""

    async def as_role(self) -> Aws:
        """AWS as the function's role sees it. Raises ApiError when Lambda cannot assume it."""
        ...

    async def invoke(self, event: Mapping[str, Any]) -> Invoked: ...

    def queue_url(self, arn: str) -> str:
        """Of a queue: roles of functions need not be allowed sqs:GetQueueUrl."""
        ...

    def report(self, result: str) -> None:
        """The mapping's LastProcessingResult."""
        ...

    def count(self, metric: str, events: int) -> None:
        """Of the mapping, where it is ``counted``."""
        ...

    def measure(self, metric: str, value: float, unit: str = "Count") -> None:
        """Of the function."""
        ...

    def pollers(self, running: int) -> None:
        """Of a queue, where they are provisioned."""
        ...

    def now(self) -> float: ...


OK, NOTHING = "OK", "No records processed"
FAILED = "PROBLEM: Function call failed"


def problem(reason: str) -> str:
    return f"PROBLEM: {reason}"
