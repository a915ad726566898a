"""The condition keys of KMS that a request and its key bring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from havre.control.operation import Call, Request
from havre.services.kms import queries
from havre.services.kms.resources import KEY

Keys = Mapping[str, str | Sequence[str]]
_MEMBERS = {
    "EncryptionAlgorithm": "kms:EncryptionAlgorithm",
    "SigningAlgorithm": "kms:SigningAlgorithm",
    "MacAlgorithm": "kms:MacAlgorithm",
    "KeyAgreementAlgorithm": "kms:KeyAgreementAlgorithm",
    "MessageType": "kms:MessageType",
    "KeyPairSpec": "kms:DataKeyPairSpec",
    "PendingWindowInDays": "kms:ScheduleKeyDeletionPendingWindowInDays",
    "RotationPeriodInDays": "kms:RotationPeriodInDays",
    "GranteePrincipal": "kms:GranteePrincipal",
    "GranteeServicePrincipal": "kms:GranteePrincipal",
    "RetiringPrincipal": "kms:RetiringPrincipal",
    "RetiringServicePrincipal": "kms:RetiringPrincipal",
}


def of_request(call: Call, request: Request) -> Keys:
    keys: dict[str, str | Sequence[str]] = {"kms:CallerAccount": call.principal.account}
    for member, key in _MEMBERS.items():
        if request.get(member) is not None:
            keys[key] = str(request[member])
    keys["kms:BypassPolicyLockoutSafetyCheck"] = "true" if request.get("BypassPolicyLockoutSafetyCheck") else "false"
    text = request.get("KeyId") or ""
    if "alias/" in text:
        keys["kms:RequestAlias"] = text.rpartition(":")[2]
    if request.get("Operations"):
        keys["kms:GrantOperations"] = tuple(request["Operations"])
        keys["kms:GrantIsForAWSResource"] = "true" if call.principal.service else "false"
        keys["kms:GrantConstraintType"] = tuple(request.get("Constraints") or ())
    return {**keys, **of_context(request.get("EncryptionContext") or {})}


def of_context(context: Mapping[str, str]) -> Keys:
    keys: dict[str, str | Sequence[str]] = {f"kms:EncryptionContext:{name}": value for name, value in context.items()}
    if context:
        keys["kms:EncryptionContextKeys"] = tuple(context)
    return keys


def of_key(call: Call, arn: str) -> Keys:
    parts = arn.split(":", 5)
    if len(parts) != 6 or not parts[5].startswith("key/"):
        return {}
    found = call.store.get(KEY, parts[4], parts[3], parts[5].removeprefix("key/"))
    if found is None:
        return {}
    spec = found.spec
    return {
        "kms:KeySpec": spec.spec,
        "kms:KeyUsage": spec.usage,
        "kms:KeyOrigin": "AWS_KMS",
        "kms:MultiRegion": "false",
        "kms:ResourceAliases": tuple(alias.meta.name for alias in queries.aliases(call.store, found)),
        **{f"aws:ResourceTag/{name}": value for name, value in spec.tags.items()},
    }
