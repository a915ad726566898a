"""Encrypt, Decrypt, ReEncrypt, data keys, and plain chance."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from havre.control.operation import Answer, Call, Operations, Request
from havre.services.kms import conditions, crypto, errors, present, queries, using
from havre.services.kms.resources import ENCRYPT, SYMMETRIC, KeyR, Material
from havre.services.kms.vault import Vault

_SIZES = {"AES_128": 16, "AES_256": 32}


def operations(vault: Vault) -> Operations:
    ops = Operations()
    seen: dict[str, Any] = {"conditions": conditions.of_request, "about": conditions.of_key, "read_only": True}
    for name, handler in (
        ("Encrypt", encrypt),
        ("GenerateDataKey", generate_data_key),
        ("GenerateDataKeyWithoutPlaintext", generate_data_key),
        ("GenerateDataKeyPair", generate_data_key_pair),
        ("GenerateDataKeyPairWithoutPlaintext", generate_data_key_pair),
    ):
        ops(name, resources=queries.about(), **seen)(partial(handler, vault))
    ops("Decrypt", resources=_decrypting("CiphertextBlob"), **seen)(partial(decrypt, vault))
    ops(
        "ReEncrypt",
        action="kms:ReEncryptTo",
        resources=queries.about("DestinationKeyId"),
        **{**seen, "conditions": _to},
    )(partial(re_encrypt, vault))
    ops("GenerateRandom", read_only=True)(generate_random)
    return ops


def _to(call: Call, request: Request) -> conditions.Keys:
    context = conditions.of_context(request.get("DestinationEncryptionContext") or {})
    return {**conditions.of_request(call, request), **context}


def _decrypting(member: str) -> queries.Resources:
    """The key that the ciphertext names, or else the request: of RSA's ciphertext nobody can tell."""

    def resources(call: Call, request: Request) -> Sequence[str]:
        algorithm = request.get("EncryptionAlgorithm") or SYMMETRIC
        blob = crypto.read(request.get(member) or b"") if algorithm == SYMMETRIC else None
        if blob is not None:
            return (queries.Named(blob.account, call.region, blob.key).arn,)
        return (queries.arn_of(call, request["KeyId"]),) if request.get("KeyId") else ("*",)

    return resources


# Encrypting


async def encrypt(vault: Vault, call: Call, request: Request) -> Answer:
    key = await using.usable(vault, call, request["KeyId"], ENCRYPT)
    algorithm = request.get("EncryptionAlgorithm") or SYMMETRIC
    ciphertext = _encrypted(vault, key, algorithm, request["Plaintext"], request.get("EncryptionContext") or {})
    using.check_dry_run(request)
    return {"CiphertextBlob": ciphertext, "KeyId": key.meta.arn, "EncryptionAlgorithm": algorithm}


def _encrypted(vault: Vault, key: KeyR, algorithm: str, plaintext: bytes, context: Mapping[str, str]) -> bytes:
    _check_algorithm(key, algorithm, context)
    material = using.current(vault, key)
    if algorithm != SYMMETRIC:
        return crypto.rsa_encrypt(material, key.spec.spec, algorithm, plaintext)
    blob = crypto.Blob(key.meta.account, key.meta.name, key.spec.materials[-1].id)
    return crypto.encrypt(material, blob, plaintext, context)


def _check_algorithm(key: KeyR, algorithm: str, context: Mapping[str, str]) -> None:
    if (algorithm == SYMMETRIC) != (key.spec.spec == SYMMETRIC):
        raise errors.incompatible(algorithm, key.spec.spec)
    if context and algorithm != SYMMETRIC:
        raise errors.invalid("EncryptionContext is not supported when using asymmetric keys.")


# Decrypting


async def decrypt(vault: Vault, call: Call, request: Request) -> Answer:
    using.check_request(request)
    if request.get("DryRunModifiers"):
        raise errors.absent("Decrypt with DryRunModifiers")
    if request.get("CiphertextBlob") is None:
        raise errors.invalid("CiphertextBlob is required.")
    algorithm = request.get("EncryptionAlgorithm") or SYMMETRIC
    context = request.get("EncryptionContext") or {}
    key, plaintext = await _decrypted(vault, call, algorithm, request["CiphertextBlob"], context, request.get("KeyId"))
    using.check_dry_run(request)
    answer = {"KeyId": key.meta.arn, "Plaintext": plaintext, "EncryptionAlgorithm": algorithm}
    if algorithm == SYMMETRIC:
        answer["KeyMaterialId"] = _used(key, request["CiphertextBlob"]).id.hex().ljust(64, "0")
    return answer


async def _decrypted(
    vault: Vault, call: Call, algorithm: str, ciphertext: bytes, context: Mapping[str, str], named: str | None
) -> tuple[KeyR, bytes]:
    """Raises ApiError."""
    if algorithm != SYMMETRIC:
        if not named:
            raise errors.invalid("KeyId is required with asymmetric keys.")
        key = await using.usable(vault, call, named, ENCRYPT)
        _check_algorithm(key, algorithm, context)
        return key, await asyncio.to_thread(crypto.rsa_decrypt, using.current(vault, key), algorithm, ciphertext)
    blob = crypto.read(ciphertext)
    if blob is None:
        raise errors.bad_ciphertext()
    key_or_none = queries.alive(call.store, blob.account, call.region, blob.key, call.now)
    if key_or_none is None:
        raise errors.out_of_reach()
    if named and (await using.found(vault, call, named)).meta.arn != key_or_none.meta.arn:
        raise errors.incorrect_key()
    using.check_state(key_or_none)
    using.check_usage(key_or_none, "Decrypt", ENCRYPT)
    used = _used(key_or_none, ciphertext)
    return key_or_none, crypto.decrypt(vault.open(used.sealed, key_or_none.meta.arn), ciphertext, context)


def _used(key: KeyR, ciphertext: bytes) -> Material:
    """The material that made it. Raises ApiError."""
    blob = crypto.read(ciphertext)
    found = next((m for m in key.spec.materials if blob is not None and m.id == blob.material), None)
    if found is None:
        raise errors.bad_ciphertext()
    return found


async def re_encrypt(vault: Vault, call: Call, request: Request) -> Answer:
    """IAM has decided on the destination; the source is decided on here."""
    if request.get("DryRunModifiers"):
        raise errors.absent("ReEncrypt with DryRunModifiers")
    source, context = request.get("SourceKeyId"), request.get("SourceEncryptionContext") or {}
    from_ = {**request, "KeyId": source, "EncryptionAlgorithm": request.get("SourceEncryptionAlgorithm")}
    keys = {**conditions.of_request(call, {"KeyId": source}), **conditions.of_context(context)}
    for arn in _decrypting("CiphertextBlob")(call, from_):
        await call.authorize("kms:ReEncryptFrom", [arn], {**keys, **conditions.of_key(call, arn)})
    algorithm = request.get("SourceEncryptionAlgorithm") or SYMMETRIC
    old, plaintext = await _decrypted(vault, call, algorithm, request.get("CiphertextBlob") or b"", context, source)
    new = await using.usable(vault, call, request["DestinationKeyId"], ENCRYPT)
    to = request.get("DestinationEncryptionAlgorithm") or SYMMETRIC
    ciphertext = _encrypted(vault, new, to, plaintext, request.get("DestinationEncryptionContext") or {})
    using.check_dry_run(request)
    return {
        "CiphertextBlob": ciphertext,
        "SourceKeyId": old.meta.arn,
        "KeyId": new.meta.arn,
        "SourceEncryptionAlgorithm": algorithm,
        "DestinationEncryptionAlgorithm": to,
    }


# Data keys


async def generate_data_key(vault: Vault, call: Call, request: Request) -> Answer:
    using.check_request(request)
    if bool(request.get("KeySpec")) == bool(request.get("NumberOfBytes")):
        raise errors.invalid("Please specify either number of bytes or key spec.")
    key = await _symmetric(vault, call, request)
    plaintext = secrets.token_bytes(_SIZES.get(request.get("KeySpec") or "") or request["NumberOfBytes"])
    ciphertext = _encrypted(vault, key, SYMMETRIC, plaintext, request.get("EncryptionContext") or {})
    using.check_dry_run(request)
    return {
        "CiphertextBlob": ciphertext,
        **({} if call.operation.endswith("WithoutPlaintext") else {"Plaintext": plaintext}),
        "KeyId": key.meta.arn,
        "KeyMaterialId": present.material_id(key.spec),
    }


async def _symmetric(vault: Vault, call: Call, request: Request) -> KeyR:
    key = await using.usable(vault, call, request["KeyId"], ENCRYPT)
    if key.spec.spec != SYMMETRIC:
        raise errors.wrong_usage(key.meta.arn, key.spec.usage, call.operation)
    return key


async def generate_data_key_pair(vault: Vault, call: Call, request: Request) -> Answer:
    using.check_request(request)
    spec = request["KeyPairSpec"]
    if spec not in crypto.RSA and spec not in crypto.ECC:
        raise errors.absent(f"key pairs of the spec {spec}")
    key = await _symmetric(vault, call, request)
    using.check_dry_run(request)
    private, public = await asyncio.to_thread(crypto.pair, spec)
    return {
        "PrivateKeyCiphertextBlob": _encrypted(vault, key, SYMMETRIC, private, request.get("EncryptionContext") or {}),
        **({} if call.operation.endswith("WithoutPlaintext") else {"PrivateKeyPlaintext": private}),
        "PublicKey": public,
        "KeyId": key.meta.arn,
        "KeyPairSpec": spec,
        "KeyMaterialId": present.material_id(key.spec),
    }


async def generate_random(call: Call, request: Request) -> Answer:
    using.check_request(request)
    if request.get("CustomKeyStoreId"):
        raise errors.absent("CustomKeyStoreId")
    if request.get("NumberOfBytes") is None:
        raise errors.invalid("NumberOfBytes is required.")
    return {"Plaintext": secrets.token_bytes(request["NumberOfBytes"])}
