"""One event for CloudTrail per call, whatever came of it."""

from __future__ import annotations

import logging

from havre.control.operation import Principal
from havre.gateway.context import ANONYMOUS, EVERYTHING, Context
from havre.kernel.errors import Temporary
from havre.services.cloudtrail.trail import Draft, Identity, Trail

log = logging.getLogger("havre.gateway")

GLOBAL = {"iam"}
"""Services whose events are those of us-east-1, wherever the call came from."""
CREDENTIALS = frozenset(("AssumeRole", "GetFederationToken", "GetSessionToken"))
"""Reads by CloudTrail's count, whose answers it tells nevertheless: they hand out credentials."""


class Audit:
    def __init__(self, trail: Trail) -> None:
        self._trail = trail
        self._identities: dict[tuple[str, str], tuple[Principal, Identity]] = {}

    async def record(self, context: Context) -> None:
        """Queue the event; wait until it is durable when something was changed or very much is queued."""
        operation, error = context.operation, context.error
        if not context.name or context.principal is ANONYMOUS or (operation is not None and operation.data_event):
            return
        reads = operation is not None and operation.read_only
        told = (not reads or context.name in CREDENTIALS) and error is None
        self._trail.record(
            Draft(
                context.request_id,
                context.at,
                context.source,
                context.name,
                context.account,
                "us-east-1" if context.source in GLOBAL else context.region,
                self.identity(context.principal, context.invoked_by),
                reads,
                context.source_ip,
                context.user_agent,
                () if context.resources is EVERYTHING else tuple([r for r in context.resources if r != "*"]),
                error.code if error is not None else "",
                error.message if error is not None else "",
                context.request,
                context.answer if told else None,
            )
        )
        if told or self._trail.crowded:
            try:
                await self._trail.flush()
            except Temporary as full:  # the call is done: its answer stands, and the event waits for the journal
                log.warning("the audit journal takes no events: %s, request %s", full.reason, context.request_id)
            except Exception:
                log.exception("the audit journal does not take events, request %s", context.request_id)

    def identity(self, who: Principal, invoked_by: str) -> Identity:
        known = self._identities.get((who.arn, who.access_key))
        if known is not None and known[0] is who and known[1].invoked_by == invoked_by:
            return known[1]
        identity = Identity(
            kind=who.kind,
            account=who.account,
            arn=who.arn,
            id=who.id,
            access_key=who.access_key,
            name=who.name,
            role=who.role,
            service=who.service if who.kind == "AWSService" else "",
            issued=int(who.context.get("aws:TokenIssueTime", "0")),
            invoked_by=invoked_by,
        )
        if len(self._identities) > 4_096:
            self._identities.clear()
        self._identities[who.arn, who.access_key] = (who, identity)
        return identity
