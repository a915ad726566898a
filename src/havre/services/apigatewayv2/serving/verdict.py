"""What an authorizer says of a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class Verdict(msgspec.Struct, frozen=True):
    """``status`` 200 lets the request in, 401, 403 and 500 do not. ``context`` is what the authorizer tells the function, by
    the name ``kind`` in format 2.0: lambda, jwt or iam. ``challenge`` is the www-authenticate header of a refusal, ``error``
    the reason as access logs have it."""

    status: int
    context: Mapping[str, Any] = {}
    kind: str = "lambda"
    challenge: str = ""
    error: str = ""
