"""AWS by a role that a user named: a service assumes it, and calls as it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from havre.control.deps import ReconcilerDeps
from havre.control.operation import Aws, Call
from havre.kernel.errors import ApiError, Permanent

FRESH = 300.0
"""Seconds for which credentials are used again: so much later at most does a changed trust policy show."""
_MOST = 1000


@dataclass
class _Session:
    """``aws`` calls without a trace; made when it is first asked for."""

    since: float
    keys: Mapping[str, Any]
    aws: Aws | None = None


class Roles:
    """``principal`` is the service that the roles' trust policies have to let in (``scheduler.amazonaws.com``)."""

    def __init__(self, deps: ReconcilerDeps, principal: str) -> None:
        self._deps = deps
        self._principal = principal
        self._kept: dict[tuple[str, str, str], _Session] = {}

    async def acting(self, role: str, account: str, region: str, session: str, trace: str = "") -> Aws:
        """``account`` and ``region`` of what the role is used for, ``trace`` what its calls carry on. ``session`` names what
        acts, not the occasion, for credentials are kept for it. Raises ApiError when the role cannot be assumed."""
        name = session[:64].ljust(2, "-")
        now = self._deps.world.now()
        if self._deps.aws_with is None:
            raise Permanent("Roles cannot be assumed here")
        kept = self._kept.get((role, region, name))
        if kept is None or now >= kept.since + FRESH:
            sts = self._deps.aws_for(account, region, self._principal)
            answer = await sts("sts", "AssumeRole", {"RoleArn": role, "RoleSessionName": name})
            kept = _Session(now, answer["Credentials"])
            if len(self._kept) >= _MOST:
                self._kept.clear()
            self._kept[role, region, name] = kept
        owner = role.split(":")[4]
        if trace:
            return self._deps.aws_with(owner, region, kept.keys, trace)
        if kept.aws is None:
            kept.aws = self._deps.aws_with(owner, region, kept.keys)
        return kept.aws


async def may_pass(call: Call, role: str, principal: str) -> None:
    """Whoever hands a role to a service needs iam:PassRole. Raises ApiError."""
    await call.authorize("iam:PassRole", [role], {"iam:PassedToService": principal})


async def assumable(call: Call, role: str, principal: str) -> bool:
    """Whether the service could assume the role."""
    assert call.as_service is not None
    try:
        await call.as_service(principal)("sts", "AssumeRole", {"RoleArn": role, "RoleSessionName": "check"})
    except ApiError as error:
        if error.status is not None and error.status >= 500:
            raise
        return False
    return True
