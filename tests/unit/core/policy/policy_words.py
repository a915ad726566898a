"""What tests of policies share: who asks, and short ways to write documents."""

from __future__ import annotations

import json
from typing import Any

from havre.core.policy import Who

ANN = Who("IAMUser", "111111111111", "arn:aws:iam::111111111111:user/ann")
ROLE = "arn:aws:iam::111111111111:role/r"
SESSION = Who("AssumedRole", "111111111111", "arn:aws:sts::111111111111:assumed-role/r/s", ROLE)


def document(*statements: dict[str, Any], version: str | None = "2012-10-17") -> str:
    return json.dumps({**({"Version": version} if version else {}), "Statement": list(statements)})


def allow(action: Any = "*", resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: Any = "*", resource: Any = "*", **more: Any) -> dict[str, Any]:
    return allow(action, resource, **more) | {"Effect": "Deny"}


def on_resource(effect: str, principal: Any, action: Any = "*") -> dict[str, Any]:
    return {"Effect": effect, "Principal": principal, "Action": action, "Resource": "*"}
