"""SecureString: moto keeps what KMS has encrypted, and never sees what it is.

As on AWS: up to 4 KiB are encrypted by the key itself, more by a data key; the context is the parameter's ARN. Whoever puts
and whoever gets needs the key, which is the account's ``alias/aws/ssm`` unless he names another.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from msgspec.structs import replace

from havre.control import envelopes
from havre.control.borrowed import Lender, Own
from havre.control.operation import Answer, Call, Request
from havre.kernel.errors import ApiError

DEFAULT_KEY = "alias/aws/ssm"
SECURE = "SecureString"
_MARK = "havre-kms-1:"
"""In front of what was encrypted: values from before that are as they were put."""
_PASSED = ("AccessDeniedException",)
ArnOf = Callable[[Call, str], str]


def putting(arn_of: ArnOf) -> Own:
    async def put_parameter(lender: Lender, call: Call, request: Request) -> Answer:
        given = request if request.get("Type") else {**request, **await _before(lender, call, request["Name"])}
        if given.get("Type") != SECURE:
            return await lender.values(call, True, request)
        key = given.get("KeyId") or DEFAULT_KEY
        sealed = await _sealed(call, key, given["Value"].encode(), _context(arn_of(call, given["Name"])))
        return await lender.values(call, True, {**given, "KeyId": key, "Value": sealed})

    return put_parameter


async def get(lender: Lender, call: Call, request: Request) -> Answer:
    """Of all operations that tell values, under ``Parameter`` or ``Parameters``."""
    answer = await lender.values(call, False, {**request, "WithDecryption": True})
    shown = dict(answer)
    if "Parameter" in answer:
        shown["Parameter"] = await _told(call, request, answer["Parameter"])
    if "Parameters" in answer:
        shown["Parameters"] = [await _told(call, request, each) for each in answer["Parameters"]]
    return shown


async def _before(lender: Lender, call: Call, name: str) -> Mapping[str, Any]:
    """The type of the parameter that is overwritten, and its key."""
    asked = {"ParameterFilters": [{"Key": "Name", "Option": "Equals", "Values": [name]}]}
    found = (await lender.values(replace(call, operation="DescribeParameters"), False, asked))["Parameters"]
    return {m: found[0][m] for m in ("Type", "KeyId") if found and found[0].get(m)}


async def _told(call: Call, request: Request, parameter: Mapping[str, Any]) -> Mapping[str, Any]:
    value = parameter.get("Value")
    if parameter.get("Type") != SECURE or value is None:
        return parameter
    kept = value.removeprefix(_MARK)
    if not request.get("WithDecryption"):
        return {**parameter, "Value": kept if kept != value else base64.b64encode(secrets.token_bytes(32)).decode()}
    if kept == value:
        return parameter
    return {**parameter, "Value": (await _opened(call, kept)).decode()}


async def _sealed(call: Call, key: str, value: bytes, context: Mapping[str, str]) -> str:
    try:
        kept = await envelopes.seal(call.aws, key, value, context, direct=True)
    except ApiError as refusal:
        _refuse(refusal)
    return _MARK + base64.b64encode(kept).decode()


async def _opened(call: Call, text: str) -> bytes:
    try:
        return await envelopes.opened(call.aws, base64.b64decode(text))
    except ApiError as refusal:
        _refuse(refusal)


def _refuse(refusal: ApiError) -> NoReturn:
    if refusal.code in _PASSED or (refusal.status is not None and refusal.status >= 500):
        raise refusal
    raise ApiError("InvalidKeyId", f"{refusal.message} (Service: AWSKMS; Error Code: {refusal.code})", 400) from None


def _context(arn: str) -> dict[str, str]:
    return {"PARAMETER_ARN": arn}
