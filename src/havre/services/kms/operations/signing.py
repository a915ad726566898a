"""Signatures, authentication codes, public keys, and shared secrets."""

from __future__ import annotations

import asyncio
import hmac
from functools import partial
from typing import Any

from havre.control.operation import Answer, Call, Operations, Request
from havre.kernel.errors import ApiError
from havre.services.kms import conditions, crypto, errors, present, queries, using
from havre.services.kms.resources import AGREE, ENCRYPT, MAC, SIGN, KeyR
from havre.services.kms.vault import Vault


def operations(vault: Vault) -> Operations:
    ops = Operations()
    for name, handler in (
        ("Sign", sign),
        ("Verify", verify),
        ("GenerateMac", generate_mac),
        ("VerifyMac", verify_mac),
        ("GetPublicKey", get_public_key),
        ("DeriveSharedSecret", derive_shared_secret),
    ):
        seen: dict[str, Any] = {"conditions": conditions.of_request, "about": conditions.of_key, "read_only": True}
        ops(name, resources=queries.about(), **seen)(partial(handler, vault))
    return ops


async def _signing(vault: Vault, call: Call, request: Request) -> KeyR:
    """Raises ApiError unless the key makes signatures of this kind."""
    key = await using.usable(vault, call, request["KeyId"], SIGN)
    algorithm = request["SigningAlgorithm"]
    if algorithm not in present.signing(key.spec.spec):
        raise errors.incompatible(algorithm, key.spec.spec)
    if request.get("MessageType") == "EXTERNAL_MU":
        raise errors.absent("the message type EXTERNAL_MU")
    return key


async def sign(vault: Vault, call: Call, request: Request) -> Answer:
    key = await _signing(vault, call, request)
    algorithm, digested = request["SigningAlgorithm"], request.get("MessageType") == "DIGEST"
    material = using.current(vault, key)
    signature = await asyncio.to_thread(crypto.sign, material, algorithm, request["Message"], digested)
    using.check_dry_run(request)
    return {"KeyId": key.meta.arn, "Signature": signature, "SigningAlgorithm": algorithm}


async def verify(vault: Vault, call: Call, request: Request) -> Answer:
    key = await _signing(vault, call, request)
    algorithm, digested = request["SigningAlgorithm"], request.get("MessageType") == "DIGEST"
    good = crypto.verify(using.current(vault, key), algorithm, request["Message"], request["Signature"], digested)
    if not good:
        raise ApiError("KMSInvalidSignatureException", "")
    using.check_dry_run(request)
    return {"KeyId": key.meta.arn, "SignatureValid": True, "SigningAlgorithm": algorithm}


async def _mac(vault: Vault, call: Call, request: Request) -> tuple[KeyR, bytes]:
    key = await using.usable(vault, call, request["KeyId"], MAC)
    algorithm = request["MacAlgorithm"]
    if algorithm != crypto.HMAC[key.spec.spec][0]:
        raise errors.incompatible(algorithm, key.spec.spec)
    return key, crypto.mac(using.current(vault, key), algorithm, request["Message"])


async def generate_mac(vault: Vault, call: Call, request: Request) -> Answer:
    key, code = await _mac(vault, call, request)
    using.check_dry_run(request)
    return {"KeyId": key.meta.arn, "Mac": code, "MacAlgorithm": request["MacAlgorithm"]}


async def verify_mac(vault: Vault, call: Call, request: Request) -> Answer:
    key, code = await _mac(vault, call, request)
    if not hmac.compare_digest(code, request["Mac"]):
        raise ApiError("KMSInvalidMacException", "")
    using.check_dry_run(request)
    return {"KeyId": key.meta.arn, "MacValid": True, "MacAlgorithm": request["MacAlgorithm"]}


async def get_public_key(vault: Vault, call: Call, request: Request) -> Answer:
    key = await using.usable(vault, call, request["KeyId"], ENCRYPT, SIGN, AGREE)
    spec = key.spec
    if spec.spec not in crypto.RSA and spec.spec not in crypto.ECC:
        raise errors.unsupported(f"{key.meta.arn} is not an asymmetric key: it has no public key.")
    return {
        "KeyId": key.meta.arn,
        "PublicKey": crypto.public_der(crypto.load(using.current(vault, key))),
        "CustomerMasterKeySpec": spec.spec,
        "KeySpec": spec.spec,
        "KeyUsage": spec.usage,
        **present.algorithms(spec),
    }


async def derive_shared_secret(vault: Vault, call: Call, request: Request) -> Answer:
    using.check_request(request)
    key = await using.usable(vault, call, request["KeyId"], AGREE)
    shared = crypto.agree(using.current(vault, key), request["PublicKey"])
    using.check_dry_run(request)
    return {
        "KeyId": key.meta.arn,
        "SharedSecret": shared,
        "KeyAgreementAlgorithm": request["KeyAgreementAlgorithm"],
        "KeyOrigin": "AWS_KMS",
    }
