"""The execution role: whoever hands it to Lambda must be allowed to, and Lambda must be able to assume it."""

from __future__ import annotations

from havre.control.operation import Call
from havre.kernel.arn import Arn
from havre.kernel.errors import ApiError
from havre.services.lambda_.errors import invalid

PRINCIPAL = "lambda.amazonaws.com"


async def check_role(call: Call, arn: str) -> None:
    """Raises ApiError."""
    if Arn.parse(arn).account != call.account:
        raise ApiError("AccessDeniedException", "Cross-account pass role is not allowed.", 403)
    await call.authorize("iam:PassRole", [arn], {"iam:PassedToService": PRINCIPAL})
    assert call.as_service is not None
    try:
        await call.as_service(PRINCIPAL)("sts", "AssumeRole", {"RoleArn": arn, "RoleSessionName": "lambda"})
    except ApiError as error:
        if error.status is not None and error.status >= 500:
            raise
        raise invalid("The role defined for the function cannot be assumed by Lambda.") from None
