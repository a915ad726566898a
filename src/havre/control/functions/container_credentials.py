"""The keys of a function's role over HTTP, for environments that live longer than any keys (SnapStart): SDKs ask at the
address in AWS_CONTAINER_CREDENTIALS_FULL_URI, and again before what they have got ends."""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from havre.control.functions.api import Exchange
from havre.kernel.errors import Gone, Permanent, Temporary

if TYPE_CHECKING:
    from havre.control.functions.environment import Environment

log = logging.getLogger("havre.functions")

_NONE = b"cannot get credentials for the provided token\n"
_LATER = b"the credentials of the function's role cannot be had at this time\n"


def authorized(token: str, told: str) -> bool:
    """``token``: what the environment's processes were given; "" for none, which nobody can have."""
    return bool(token) and hmac.compare_digest(told.encode(), token.encode())


def refuse(exchange: Exchange) -> None:
    exchange.answer(404, _NONE)


async def answer(environment: Environment, exchange: Exchange) -> None:
    """With keys that are good for some time yet, as who lends them sees to."""
    try:
        keys = await environment.parts.credentials(environment.function)
    except (Permanent, Temporary, Gone) as error:
        log.warning("no credentials for an environment of %s: %s", environment.function.arn, error)
        exchange.answer(503, _LATER)
        return
    if keys:
        exchange.answer(200, json.dumps(document(keys)).encode())
    else:
        refuse(exchange)


def document(keys: Mapping[str, str | float]) -> dict[str, str]:
    """``keys`` in the shape of STS, with ``Expiration`` in seconds since the epoch."""
    until = datetime.fromtimestamp(float(keys["Expiration"]), UTC).isoformat(timespec="seconds")
    return {
        "AccessKeyId": str(keys["AccessKeyId"]),
        "SecretAccessKey": str(keys["SecretAccessKey"]),
        "Token": str(keys["SessionToken"]),
        "Expiration": until.replace("+00:00", "Z"),
    }
