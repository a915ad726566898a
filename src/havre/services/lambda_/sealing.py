"""Environment variables that are kept encrypted by a key of the user's (KMSKeyArn).

They lie in the record under a data key, and the data key lies beside them, encrypted by KMS for this function. Whoever sets
them needs kms:Encrypt and kms:CreateGrant: the execution role gets a grant. They are opened by the role when an environment
begins, and by callers who look at them: these are told if they may not.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any, NoReturn

import msgspec
from msgspec.structs import replace

from havre.control.operation import Aws, Call
from havre.kernel.errors import ApiError, Permanent
from havre.kernel.function import Function
from havre.services.lambda_ import present
from havre.services.lambda_.queries import function_arn
from havre.services.lambda_.resources import FUNCTION, LATEST, VERSION, Configuration, FunctionR, VersionR, qualified
from havre.store.ports import Reader

_NONCE = 12
ACCESS = "AccessDeniedException"
TO_INVOKE = {
    # of KMS → of Invoke, and why, in Lambda's words
    ACCESS: ("KMSAccessDeniedException", "KMS access was denied"),
    "DisabledException": ("KMSDisabledException", "the KMS key used is disabled"),
    "KMSInvalidStateException": ("KMSInvalidStateException", "the state of the KMS key used is not valid for Decrypt"),
    "NotFoundException": ("KMSNotFoundException", "the KMS key was not found"),
}
CODES = frozenset(code for code, _ in TO_INVOKE.values())


class _Sealed(msgspec.Struct, frozen=True, array_like=True):
    """``key``: the data key, encrypted by KMS."""

    key: bytes
    nonce: bytes
    text: bytes


def digest(sealed: bytes) -> str:
    return hashlib.sha256(sealed).hexdigest() if sealed else ""


# Setting them


async def seal(call: Call, config: Configuration, old: Configuration, name: str, *, given: bool) -> Configuration:
    """``config`` with its variables as they are kept. ``given``: whether the request brings them. Raises ApiError."""
    if not config.key and not old.sealed:
        return config
    arn = function_arn(call.account, call.region, name)
    if config.key == old.key and old.sealed and not given:
        if config.role != old.role:
            await _grant(call, config, arn, config.key)
        return config
    variables = config.environment if given or not old.sealed else await _opened(call, old, arn)
    if not config.key:
        return replace(config, environment=variables, sealed=b"")
    data_key, nonce = secrets.token_bytes(32), secrets.token_bytes(_NONCE)
    encrypt = {"KeyId": config.key, "Plaintext": data_key, "EncryptionContext": _context(arn)}
    try:
        kept = await call.aws("kms", "Encrypt", encrypt)
    except ApiError as refusal:
        _refuse(refusal, "Encrypt")
    await _grant(call, config, arn, kept["KeyId"])
    text = _cipher(data_key).encrypt(nonce, msgspec.json.encode(variables), arn.encode())
    sealed = msgspec.msgpack.encode(_Sealed(kept["CiphertextBlob"], nonce, text))
    return replace(config, environment={}, sealed=sealed)


async def _grant(call: Call, config: Configuration, arn: str, key: str) -> None:
    """The role may decrypt for this function: one grant, however often the function changes. Raises ApiError."""
    request = {
        "KeyId": key,
        "GranteePrincipal": config.role,
        "Operations": ["Decrypt", "RetireGrant"],
        "Constraints": {"EncryptionContextEquals": _context(arn)},
        "Name": hashlib.sha256(f"{arn} {config.role}".encode()).hexdigest()[:36],
    }
    try:
        await call.aws("kms", "CreateGrant", request)
    except ApiError as refusal:
        _refuse(refusal, "CreateGrant")


def _refuse(refusal: ApiError, what: str) -> NoReturn:
    if refusal.status is not None and refusal.status >= 500:
        raise refusal
    why = f"the KMS key is invalid for {what}" if refusal.code != ACCESS else "the KMS access was denied"
    code = "InvalidParameterValueException" if refusal.code != ACCESS else ACCESS
    told = (
        f"Lambda was unable to configure access to your environment variables because {why}. Please check your KMS key "
        f"settings. KMS Exception: {refusal.code}KMS Message: {refusal.message}"
    )
    raise ApiError(code, told, 400 if code != ACCESS else 403) from None


# Opening them


async def shown(call: Call, record: FunctionR | VersionR, **how: Any) -> dict[str, Any]:
    """As ``present.configuration``; with variables that only some may see, or why the caller may not."""
    told = present.configuration(record, **how)
    config = record.spec.config
    if not config.sealed:
        return told
    meta = record.meta
    try:
        variables = await _opened(call, config, function_arn(meta.account, meta.region, record.spec.function))
    except ApiError as refusal:
        why = "KMS access was denied" if refusal.code == ACCESS else TO_INVOKE.get(refusal.code, ("", refusal.code))[1]
        message = (
            f"Lambda was unable to decrypt your environment variables because the {why.removeprefix('the ')}. Please check "
            f"your KMS permissions. KMS Exception: {refusal.code}KMS Message: {refusal.message}"
        )
        return {**told, "Environment": {"Error": {"ErrorCode": refusal.code, "Message": message}}}
    return {**told, "Environment": {"Variables": variables}} if variables or "Environment" in config.named else told


async def _opened(call: Call, config: Configuration, arn: str) -> dict[str, str]:
    """By the caller. Raises ApiError as KMS does."""
    return await _open(call.aws, config.sealed, arn)


async def open_for(store: Reader, function: Function, aws: Aws) -> Mapping[str, str]:
    """For an environment that begins; ``aws`` acts by the function's role. Raises Permanent with Lambda's code in front."""
    arn = function_arn(function.account, function.region, function.name)
    try:
        return await _open(aws, _kept(store, function), arn)
    except ApiError as refusal:
        code, why = TO_INVOKE.get(refusal.code, TO_INVOKE[ACCESS])
        raise Permanent(
            f"{code}: Lambda was unable to decrypt the environment variables because {why}. Please check the function's KMS "
            f"key settings. KMS Exception: {refusal.code}KMS Message: {refusal.message}"
        ) from None


def _kept(store: Reader, function: Function) -> bytes:
    """What an environment of exactly this function is to get. Raises Permanent when the function has moved on."""
    where = function.account, function.region
    found: FunctionR | VersionR | None
    if function.version == LATEST:
        found = store.get(FUNCTION, *where, function.name)
    else:
        found = store.get(VERSION, *where, qualified(function.name, function.version))
    for config in () if found is None else (found.status.serving, found.spec.config):
        if config is not None and digest(config.sealed) == function.sealed:
            return config.sealed
    raise Permanent(f"{function.arn} has been changed")


async def _open(aws: Aws, sealed: bytes, arn: str) -> dict[str, str]:
    kept = msgspec.msgpack.decode(sealed, type=_Sealed)
    answer = await aws("kms", "Decrypt", {"CiphertextBlob": kept.key, "EncryptionContext": _context(arn)})
    text = _cipher(answer["Plaintext"]).decrypt(kept.nonce, kept.text, arn.encode())
    return msgspec.json.decode(text, type=dict[str, str])


def _context(arn: str) -> dict[str, str]:
    return {"aws:lambda:FunctionArn": arn}


def _cipher(key: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)
