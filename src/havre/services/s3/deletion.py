"""DeleteObjects: a decision for each key, and an error for each that is refused; the others go."""

from __future__ import annotations

from typing import Any

from havre.control.borrowed import Lender
from havre.control.operation import Answer, Call, Request
from havre.kernel.errors import ApiError
from havre.services.s3.access import arn


async def delete_objects(lender: Lender, call: Call, request: Request) -> Answer:
    asked = request["Delete"]
    allowed, errors = [], []
    for each in asked["Objects"]:
        action = "s3:DeleteObjectVersion" if each.get("VersionId") else "s3:DeleteObject"
        try:
            await call.authorize(action, [arn(request["Bucket"], each["Key"])], {})
        except ApiError as refused:
            if refused.code != "AccessDenied":
                raise
            errors.append({**_named(each), "Code": refused.code, "Message": refused.message})
        else:
            allowed.append(each)
    if not allowed:
        return {"Errors": errors}
    answer = await lender.values(call, True, {**request, "Delete": {**asked, "Objects": allowed}})
    return {**answer, "Errors": [*answer.get("Errors", ()), *errors]}


def _named(each: Any) -> dict[str, Any]:
    return {name: each[name] for name in ("Key", "VersionId") if each.get(name)}
