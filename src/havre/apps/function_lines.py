"""Functions' lines on their way into CloudWatch Logs: written by the function's execution role, as on AWS.

A role that may not write has no lines there; what a caller asked for with the answer (LogType Tail) does not come by here.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from havre.apps.container_lines import LineSink
from havre.apps.functions import LAMBDA
from havre.control.deps import ReconcilerDeps
from havre.control.nodelink.messages import LogStream
from havre.control.operation import Aws
from havre.control.roles import Roles
from havre.kernel.errors import Permanent

AGAIN = 10.0
"""Seconds for which a refusal stands: so much later at most does a role that was mended write again."""
_REMEMBERED = 1_000
_DENIED = frozenset(("AccessDenied", "AccessDeniedException"))
Writer = tuple[str, str, str, str]
"""(account, region, log group, role)."""


class Refusal(msgspec.Struct, frozen=True):
    until: float
    reason: str


class FunctionLines:
    def __init__(self, deps: ReconcilerDeps) -> None:
        self._deps = deps
        self._roles = Roles(deps, LAMBDA)
        self._sink = LineSink(self._by_role)
        self._refused: dict[Writer, Refusal] = {}

    async def keep(self, stream: LogStream, lines: Sequence[tuple[int, bytes]]) -> None:
        """Durable when it returns, where the role may write. CloudTrail records each refusal: a role that was just refused
        is not tried again for each batch."""
        writer = (stream.account, stream.region, stream.group, stream.role)
        known = self._refused.get(writer)
        if known is not None and self._deps.world.now() < known.until:
            self._sink.losses.note(stream, len(lines), known.reason)
            return
        refusal = await self._sink.keep(stream, lines)
        if refusal is None:
            self._refused.pop(writer, None)
        elif isinstance(refusal, Permanent) or refusal.code in _DENIED:
            if len(self._refused) >= _REMEMBERED:
                self._refused.clear()
            self._refused[writer] = Refusal(self._deps.world.now() + AGAIN, str(refusal))

    async def _by_role(self, stream: LogStream) -> Aws:
        """Raises ApiError, Permanent, Temporary."""
        if not stream.role:
            return self._deps.aws_for(stream.account, stream.region, LAMBDA)
        session = stream.group.rpartition("/")[2].replace("#", "-")
        return await self._roles.acting(stream.role, stream.account, stream.region, session)

    def reason(self, account: str, region: str, group: str, role: str) -> str:
        """Why this role's lines are not written; "" when they are, or nothing is known."""
        known = self._refused.get((account, region, group, role))
        return known.reason if known is not None else ""
