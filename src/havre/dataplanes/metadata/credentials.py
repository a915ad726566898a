"""Credentials of task roles: asked of the server when a container asks, kept, and renewed well before they end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

from havre.kernel.errors import Permanent, Temporary

RENEW_BEFORE = 15 * 60.0
"""Seconds before their end at which credentials are renewed; SDKs do so 10 to 15 minutes before it."""

Credentials = Mapping[str, str]
"""``RoleArn``, ``AccessKeyId``, ``SecretAccessKey``, ``Token``, ``Expiration``."""


class CredentialCache:
    """``ask`` gets the credentials of a workload's role. Raises Temporary, Permanent."""

    def __init__(self, ask: Callable[[str], Awaitable[Credentials]], now: Callable[[], float]) -> None:
        self._ask = ask
        self._now = now
        self._kept: dict[str, Credentials] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def get(self, workload: str) -> Credentials:
        """Those at hand, or new ones; the old ones as long as they hold when the server does not answer. Raises
        Temporary, Permanent."""
        async with self._locks.setdefault(workload, asyncio.Lock()):
            kept = self._kept.get(workload)
            left = _expiry(kept) - self._now() if kept else 0.0
            if kept and left > RENEW_BEFORE:
                return kept
            try:
                made = await self._ask(workload)
            except Temporary:
                if kept and left > 0:
                    return kept
                raise
            self._kept[workload] = made
            return made

    def forget(self, workload: str) -> None:
        self._kept.pop(workload, None)
        self._locks.pop(workload, None)


def _expiry(credentials: Credentials) -> float:
    try:
        return datetime.fromisoformat(credentials["Expiration"]).timestamp()
    except (KeyError, ValueError):
        raise Permanent("credentials without an end") from None
