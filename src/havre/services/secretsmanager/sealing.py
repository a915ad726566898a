"""Values of secrets: moto keeps what a data key of KMS has encrypted, and never sees what it is.

The key is the secret's KmsKeyId, else the account's ``alias/aws/secretsmanager``. The context is the secret's ARN (of the
first version, which is made with the secret, without the six characters that follow the name).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, NoReturn

from msgspec.structs import replace

from havre.control import envelopes
from havre.control.borrowed import Lender
from havre.control.operation import Answer, Call, Request
from havre.kernel.errors import ApiError

DEFAULT_KEY = "alias/aws/secretsmanager"
_MARK = "havre-kms-1:"
"""In front of what was encrypted: values from before that are as they were put."""
_VALUES = ("SecretString", "SecretBinary")


async def create(lender: Lender, call: Call, request: Request) -> Answer:
    name = request["Name"]
    sealed = await _sealed(lender, call, request, name, call.arn(f"secret:{name}"), request.get("KmsKeyId"))
    return await lender.values(call, True, {**request, **sealed})


async def put(lender: Lender, call: Call, request: Request) -> Answer:
    """PutSecretValue and UpdateSecret, which may bring another key. Versions that there are stay under theirs."""
    if not any(request.get(member) is not None for member in _VALUES):
        return await lender.values(call, True, request)
    asked = replace(call, operation="DescribeSecret")
    secret = await lender.values(asked, False, {"SecretId": request["SecretId"]})
    key = request.get("KmsKeyId") or secret.get("KmsKeyId")
    sealed = await _sealed(lender, call, request, request["SecretId"], secret["ARN"], key)
    return await lender.values(call, True, {**request, **sealed})


async def get(lender: Lender, call: Call, request: Request) -> Answer:
    return await _opened(call, await lender.values(call, False, request))


async def get_many(lender: Lender, call: Call, request: Request) -> Answer:
    """What cannot be opened is an error beside the others."""
    answer = await lender.values(call, False, request)
    values: list[Mapping[str, Any]] = []
    errors = list(answer.get("Errors") or ())
    for each in answer.get("SecretValues") or ():
        try:
            values.append(await _opened(call, each))
        except ApiError as refusal:
            errors.append({"SecretId": each["ARN"], "ErrorCode": refusal.code, "Message": refusal.message})
    return {**answer, "SecretValues": values, "Errors": errors}


async def _sealed(
    lender: Lender, call: Call, request: Request, name: str, arn: str, key: str | None
) -> Mapping[str, Any]:
    """The request's value as it is kept. Asked again with the same token, it is what was kept then: no other version."""
    member = next((m for m in _VALUES if request.get(m) is not None), "")
    if not member:
        return {}
    value = request[member]
    if request.get("ClientRequestToken"):
        kept = await _kept(lender, call, name, request["ClientRequestToken"])
        if kept.get(member) is not None and (await _opened(call, kept))[member] == value:
            return {member: kept[member]}
    plain = value.encode() if isinstance(value, str) else value
    try:
        sealed = await envelopes.seal(call.aws, key or DEFAULT_KEY, plain, {"SecretARN": arn})
    except ApiError as refusal:
        _refuse(refusal, "EncryptionFailure", "encrypt")
    text = _MARK + base64.b64encode(sealed).decode()
    return {member: text if member == "SecretString" else text.encode()}


async def _kept(lender: Lender, call: Call, name: str, version: str) -> Mapping[str, Any]:
    """A version as it is kept; empty where there is none."""
    asked = replace(call, operation="GetSecretValue")
    try:
        return await lender.values(asked, False, {"SecretId": name, "VersionId": version})
    except ApiError as refusal:
        if refusal.status is not None and refusal.status >= 500:
            raise
        return {}


async def _opened(call: Call, answer: Mapping[str, Any]) -> dict[str, Any]:
    """An answer with a value, as it was put. Raises ApiError."""
    found = dict(answer)
    for member in _VALUES:
        value = answer.get(member)
        text = value.decode("ascii", "replace") if isinstance(value, bytes) else value or ""
        if not text.startswith(_MARK):
            continue
        try:
            plain = await envelopes.opened(call.aws, base64.b64decode(text.removeprefix(_MARK)))
        except ApiError as refusal:
            _refuse(refusal, "DecryptionFailure", "decrypt")
        found[member] = plain.decode() if member == "SecretString" else plain
    return found


def _refuse(refusal: ApiError, code: str, what: str) -> NoReturn:
    if refusal.status is not None and refusal.status >= 500:
        raise refusal
    if refusal.code == "AccessDeniedException":
        raise ApiError("AccessDeniedException", "Access to KMS is not allowed", 400) from None
    told = f"Secrets Manager can't {what} the protected secret text using the provided KMS key: {refusal.message}"
    raise ApiError(code, told, 400) from None
