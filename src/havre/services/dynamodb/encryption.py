"""Keys of tables: asked of KMS when a table is made, as whoever makes it, and told by their ARNs; items lie as they are.

moto would make keys of its own for that, which nobody else knows, and which no snapshot can hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from havre.control.borrowed import Lender
from havre.control.operation import Answer, Call, Request
from havre.kernel.errors import ApiError, not_built

USUAL = "alias/aws/dynamodb"
_FIT = {"KeyUsage": "ENCRYPT_DECRYPT", "KeySpec": "SYMMETRIC_DEFAULT"}


async def create(lender: Lender, call: Call, request: Request) -> Answer:
    """A table whose SSESpecification says nothing, or that it is not wanted, is under DynamoDB's own key, and shows none."""
    asked: Mapping[str, Any] = request.get("SSESpecification") or {}
    given = {name: value for name, value in request.items() if name != "SSESpecification"}
    if not asked.get("Enabled"):
        if asked.get("KMSMasterKeyId"):
            raise _invalid("KMSMasterKeyId needs server-side encryption to be enabled")
        return await lender.values(call, True, given)
    if asked.get("SSEType") not in (None, "KMS"):
        raise _invalid(f"the SSEType {asked['SSEType']} is not supported")
    key = await _key(call, asked.get("KMSMasterKeyId") or USUAL)
    sealed = {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key}
    return await lender.values(call, True, {**given, "SSESpecification": sealed})


async def refuse(call: Call, request: Request) -> None:
    """moto would pass it over in silence. Raises ApiError."""
    for member in ("SSESpecification", "SSESpecificationOverride"):
        if request.get(member):
            raise not_built("dynamodb", f"{call.operation} with {member}")


async def _key(call: Call, name: str) -> str:
    """The ARN of a key that can be used. Raises ApiError."""
    try:
        found = (await call.aws("kms", "DescribeKey", {"KeyId": name}))["KeyMetadata"]
    except ApiError as refusal:
        if refusal.status is not None and refusal.status >= 500:
            raise
        raise ApiError("ValidationException", f"KMS key access denied error: {refusal.message}", 400) from None
    if found["KeyState"] != "Enabled":
        raise _invalid(f"the KMS key {found['Arn']} is {found['KeyState']}")
    if any(found.get(member) != wanted for member, wanted in _FIT.items()):
        raise _invalid(f"the KMS key {found['Arn']} is no symmetric key for encryption")
    return str(found["Arn"])


def _invalid(why: str) -> ApiError:
    return ApiError("ValidationException", f"One or more parameter values were invalid: {why}", 400)
