"""Archives that are kept encrypted by a key of the user's (SourceKMSKeyArn).

Whoever brings one needs kms:GenerateDataKey, whoever looks at one kms:Decrypt. The key's policy has to let Lambda itself
(lambda.amazonaws.com, for the function) decrypt, for no grant is made: nodes get the data key by that. What a node has
unpacked it runs from then on, whatever becomes of the key.
"""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import NoReturn

from msgspec.structs import replace

from havre.control.deps import AwsFor
from havre.control.functions import sealed_archives as archives
from havre.control.functions.sealed_archives import Head
from havre.control.operation import Aws, Call
from havre.kernel.errors import ApiError, Permanent
from havre.kernel.function import Code
from havre.services.lambda_ import package
from havre.services.lambda_.errors import absent, invalid
from havre.services.lambda_.facilities import Facilities
from havre.services.lambda_.package import Package
from havre.services.lambda_.queries import function_arn
from havre.services.lambda_.sealing import ACCESS, TO_INVOKE

LAMBDA = "lambda.amazonaws.com"


async def seal(call: Call, code: Package, key: str, name: str) -> Package:
    """As it is to be kept: encrypted, where there is a ``key`` (SourceKMSKeyArn). Raises ApiError."""
    if not key:
        return code
    if code.code.kind == "image":
        raise invalid("SourceKMSKeyArn is supported for functions of package type Zip alone.")
    if code.data is None:
        raise absent(f"SourceKMSKeyArn for code from {package.HOT_RELOAD}")
    arn = function_arn(call.account, call.region, name)
    assert call.as_service is not None
    request = {"KeyId": key, "KeySpec": "AES_256", "EncryptionContext": _context(arn)}
    try:
        made = await call.aws("kms", "GenerateDataKey", request)
        head = Head(call.account, call.region, arn, made["CiphertextBlob"])
        await data_key(call.as_service(LAMBDA, source=arn), head)
    except ApiError as refusal:
        _refuse(refusal)
    data = await asyncio.to_thread(archives.sealed, head, made["Plaintext"], code.data)
    return replace(code, data=data, code=replace(code.code, sealed=archives.digest(data)), key=key)


def _refuse(refusal: ApiError) -> NoReturn:
    if refusal.status is not None and refusal.status >= 500:
        raise refusal
    denied = refusal.code == ACCESS
    why = "the KMS access was denied" if denied else "the KMS key is invalid for it"
    told = (
        f"Lambda was unable to encrypt your deployment package because {why}. Please check your KMS key settings. "
        f"KMS Exception: {refusal.code}KMS Message: {refusal.message}"
    )
    if denied:
        raise ApiError(refusal.code, told, 403) from None
    raise invalid(told) from None


async def data_key(aws: Aws, head: Head) -> bytes:
    """Raises ApiError as KMS does."""
    request = {"CiphertextBlob": head.key, "EncryptionContext": _context(head.function)}
    key: bytes = (await aws("kms", "Decrypt", request))["Plaintext"]
    return key


async def shown_key(facilities: Facilities, call: Call, code: Code) -> bytes:
    """The data key, for a caller who looks at the code. Raises ApiError as KMS does, Gone."""
    return await data_key(call.aws, archives.head_of(facilities.open_code().path(code.sealed)))


async def key_for_node(path: Path, aws_for: AwsFor) -> dict[str, str]:
    """``key`` in base64, for a node that runs the function. Raises Permanent; with Lambda's code in front, KMS refuses."""
    try:
        head = archives.head_of(path)
    except (OSError, ValueError) as error:
        raise Permanent(f"the archive {path.name} cannot be read: {error}") from None
    try:
        key = await data_key(aws_for(head.account, head.region, LAMBDA, head.function), head)
    except ApiError as refusal:
        code, why = TO_INVOKE.get(refusal.code, TO_INVOKE[ACCESS])
        raise Permanent(
            f"{code}: Lambda was unable to decrypt the deployment package because {why}. Please check the KMS key "
            f"settings. KMS Exception: {refusal.code}KMS Message: {refusal.message}"
        ) from None
    return {"key": base64.b64encode(key).decode()}


def _context(arn: str) -> dict[str, str]:
    return {"aws:lambda:FunctionArn": arn}
