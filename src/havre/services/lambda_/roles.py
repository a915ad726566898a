"""The execution role: whoever hands it to Lambda must be allowed to, and Lambda must be able to assume it."""

from __future__ import annotations

from havre.control.operation import Call
from havre.control.roles import assumable, may_pass
from havre.kernel.arn import Arn
from havre.kernel.errors import ApiError
from havre.services.lambda_.errors import invalid

PRINCIPAL = "lambda.amazonaws.com"


async def check_role(call: Call, arn: str) -> None:
    """Raises ApiError."""
    if Arn.parse(arn).account != call.account:
        raise ApiError("AccessDeniedException", "Cross-account pass role is not allowed.", 403)
    await may_pass(call, arn, PRINCIPAL)
    if not await assumable(call, arn, PRINCIPAL):
        raise invalid("The role defined for the function cannot be assumed by Lambda.")
