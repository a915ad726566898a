"""AWS by a role that a user named: a service assumes it, and calls as it."""

from __future__ import annotations

from havre.control.deps import ReconcilerDeps
from havre.control.operation import Aws, Call
from havre.kernel.errors import ApiError, Permanent

FRESH = 300.0
"""Seconds for which credentials are used again: so much later at most does a changed trust policy show."""
_MOST = 1000


class Roles:
    """``principal`` is the service that the roles' trust policies have to let in (``scheduler.amazonaws.com``)."""

    def __init__(self, deps: ReconcilerDeps, principal: str) -> None:
        self._deps = deps
        self._principal = principal
        self._kept: dict[tuple[str, str], tuple[float, Aws]] = {}

    async def acting(self, role: str, account: str, region: str, session: str) -> Aws:
        """``account`` and ``region`` of what the role is used for. Raises ApiError when it cannot be assumed."""
        now = self._deps.world.now()
        kept = self._kept.get((role, region))
        if kept is not None and now < kept[0] + FRESH:
            return kept[1]
        if self._deps.aws_with is None:
            raise Permanent("Roles cannot be assumed here")
        sts = self._deps.aws_for(account, region, self._principal)
        answer = await sts("sts", "AssumeRole", {"RoleArn": role, "RoleSessionName": session[:64]})
        aws = self._deps.aws_with(role.split(":")[4], region, answer["Credentials"])
        if len(self._kept) >= _MOST:
            self._kept.clear()
        self._kept[role, region] = (now, aws)
        return aws


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
