"""Roles that integrations and authorizers act by."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from havre.control.operation import Call
from havre.control.roles import may_pass
from havre.services.apigatewayv2.errors import absent, bad

PRINCIPAL = "apigateway.amazonaws.com"
_ROLE = re.compile(r"arn:aws[\w-]*:iam::\d{12}:role/[\w+=,.@/-]{1,512}\Z")
_CALLERS = "arn:aws:iam::*:user/*"


async def check_passing(call: Call, members: Mapping[str, Any]) -> None:
    """Whoever hands a role to API Gateway must be allowed to. Raises ApiError."""
    for member in ("CredentialsArn", "AuthorizerCredentialsArn"):
        role = members.get(member)
        if not role:
            continue
        if role == _CALLERS:
            raise absent(f"{member} {role}: the caller's own identity is not passed on")
        if not _ROLE.match(role):
            raise bad(f"Invalid {member}: it has to be the ARN of a role")
        await may_pass(call, role, PRINCIPAL)
