"""AWS as a function's role sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from havre.control.deps import ReconcilerDeps
from havre.control.operation import Aws
from havre.kernel.errors import ApiError, Permanent
from havre.services.lambda_.roles import PRINCIPAL

SESSION = 3600
SPARE = 300.0
"""Seconds before their end that credentials are not used any more."""


class Roles:
    """Sessions are kept, and made anew before they end."""

    def __init__(self, deps: ReconcilerDeps) -> None:
        self._deps = deps
        self._sessions: dict[tuple[str, str, str], tuple[float, Mapping[str, Any]]] = {}

    async def aws(self, account: str, region: str, role: str, function: str, trace: str = "") -> Aws:
        """Raises ApiError when Lambda may not assume the role, Permanent, Temporary. ``function`` names the session."""
        if self._deps.aws_with is None:
            raise Permanent("nobody can act by a role here")
        key = (account, region, role)
        now = self._deps.world.now()
        known = self._sessions.get(key)
        if known is None or known[0] - SPARE <= now:
            sts = self._deps.aws_for(account, region, PRINCIPAL)
            request = {"RoleArn": role, "RoleSessionName": function.ljust(2, "-"), "DurationSeconds": SESSION}
            try:
                made = await sts("sts", "AssumeRole", request)
            except ApiError:
                if self._deps.site.auth == "open":  # roles need not exist where nothing is checked
                    return self._deps.aws_for(account, region, PRINCIPAL, trace=trace)
                raise
            known = self._sessions[key] = (now + SESSION, made["Credentials"])
        return self._deps.aws_with(account, region, known[1], trace)
