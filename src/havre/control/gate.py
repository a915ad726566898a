"""Who sends a request that comes by a host name of its own, and may he? Of function URLs and HTTP APIs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from havre.control.operation import Principal
from havre.core.http_events import Asked


class Gate(Protocol):
    def sender(self, asked: Asked) -> Principal:
        """Who signed this request. Raises ApiError for a signature that is missing or wrong."""
        ...

    def authorize(
        self, principal: Principal, region: str, action: str, arn: str, conditions: Mapping[str, str]
    ) -> None:
        """Raises ApiError unless policies allow it."""
        ...


def caller(who: Principal) -> dict[str, Any]:
    """``requestContext.authorizer.iam`` of an event."""
    return {
        "accessKey": who.access_key,
        "accountId": who.account,
        "callerId": who.id,
        "cognitoIdentity": None,
        "principalOrgId": None,
        "userArn": who.arn,
        "userId": who.id,
    }
