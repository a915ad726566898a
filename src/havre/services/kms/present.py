"""From records to AWS's shapes."""

from __future__ import annotations

from typing import Any

from havre.services.kms import crypto
from havre.services.kms.resources import AGREE, ENCRYPT, MAC, SIGN, SYMMETRIC, AliasR, GrantR, Key, KeyR


def metadata(found: KeyR) -> dict[str, Any]:
    meta, spec = found.meta, found.spec
    return {
        "AWSAccountId": meta.account,
        "KeyId": meta.name,
        "Arn": meta.arn,
        "CreationDate": meta.created,
        "Enabled": spec.enabled and spec.deletion is None,
        "Description": spec.description,
        "KeyUsage": spec.usage,
        "KeyState": spec.state,
        "DeletionDate": spec.deletion,
        "Origin": "AWS_KMS",
        "KeyManager": spec.manager,
        "CustomerMasterKeySpec": spec.spec,
        "KeySpec": spec.spec,
        "MultiRegion": False,
        "CurrentKeyMaterialId": material_id(spec) if spec.spec == SYMMETRIC else None,
        **algorithms(spec),
    }


def algorithms(spec: Key) -> dict[str, Any]:
    if spec.usage == ENCRYPT:
        return {"EncryptionAlgorithms": [SYMMETRIC] if spec.spec == SYMMETRIC else list(crypto.RSA_ENCRYPTION)}
    if spec.usage == SIGN:
        return {"SigningAlgorithms": list(signing(spec.spec))}
    if spec.usage == MAC:
        return {"MacAlgorithms": [crypto.HMAC[spec.spec][0]]}
    return {"KeyAgreementAlgorithms": ["ECDH"]} if spec.usage == AGREE else {}


def signing(spec: str) -> tuple[str, ...]:
    return crypto.RSA_SIGNING if spec in crypto.RSA else (crypto.ECC[spec][1],)


def material_id(spec: Key) -> str:
    """As AWS spells it: 64 digits."""
    return spec.materials[-1].id.hex().ljust(64, "0")


def alias(found: AliasR) -> dict[str, Any]:
    meta = found.meta
    return {
        "AliasName": meta.name,
        "AliasArn": meta.arn,
        "TargetKeyId": found.spec.key,
        "CreationDate": meta.created,
        "LastUpdatedDate": found.spec.modified,
    }


def grant(found: GrantR) -> dict[str, Any]:
    meta, spec = found.meta, found.spec
    constraints = {"EncryptionContextEquals": spec.equals, "EncryptionContextSubset": spec.subset}
    given = {name: dict(value) for name, value in constraints.items() if value is not None}
    grantee = "GranteePrincipal" if spec.grantee.startswith("arn:") else "GranteeServicePrincipal"
    retiring = "RetiringPrincipal" if spec.retiring.startswith("arn:") else "RetiringServicePrincipal"
    return {
        "KeyId": f"arn:aws:kms:{meta.region}:{meta.account}:key/{spec.key}",
        "GrantId": meta.name,
        "Name": spec.name,
        "CreationDate": meta.created,
        grantee: spec.grantee,
        **({retiring: spec.retiring} if spec.retiring else {}),
        "IssuingAccount": spec.issuer,
        "Operations": list(spec.operations),
        "Constraints": given or None,
    }
