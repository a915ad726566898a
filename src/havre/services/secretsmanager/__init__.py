"""Secrets Manager.

The promise: secrets, their versions and stages, deletion and recovery, policies and tags, from moto
(docs/design/borrowed.md): signatures, policies and the trail are Havre's, what an operation does is moto's. Left out:
rotation, which needs functions that are called, and replication into other regions. Values are encrypted by KMS
(sealing.py).
"""

from __future__ import annotations

from havre.control.borrowed import Lender, Loans
from havre.control.operation import Call, Request, Service
from havre.kernel.errors import ApiError
from havre.services.secretsmanager import sealing


def service(lender: Lender | None = None) -> Service:
    loans = Loans("secretsmanager", lender, _check)
    loans.lend("CreateSecret", resources=_new, own=sealing.create)
    loans.lend(
        *("DescribeSecret", "GetResourcePolicy", "ListSecretVersionIds"),
        *("DeleteResourcePolicy", "DeleteSecret", "PutResourcePolicy", "RestoreSecret"),
        *("TagResource", "UntagResource", "UpdateSecretVersionStage"),
        resources=_secret,
    )
    loans.lend("GetSecretValue", resources=_secret, own=sealing.get)
    loans.lend("PutSecretValue", "UpdateSecret", resources=_secret, own=sealing.put)
    loans.lend("BatchGetSecretValue", resources=_listed, own=sealing.get_many)
    loans.lend("GetRandomPassword", "ListSecrets")
    return loans.service(
        partial={
            "UpdateSecret.KmsKeyId": "is the key of versions from then on; those that there are stay under theirs",
            "CreateSecret.AddReplicaRegions": "no replicas are made",
            "PutResourcePolicy": "kept and told, not asked for decisions",
        }
    )


async def _check(call: Call, request: Request) -> None:
    """moto keeps tags without a key, and lists no secret from then on."""
    if not all("Key" in tag for tag in request.get("Tags", ())):
        raise ApiError("InvalidParameterException", "Tag keys must not be null.")


def _arn(call: Call, secret: str) -> str:
    """A name stands for whatever six characters AWS has put behind it."""
    return secret if secret.startswith("arn:") else call.arn(f"secret:{secret}-??????")


def _new(call: Call, request: Request) -> tuple[str, ...]:
    return (_arn(call, request["Name"]),)


def _secret(call: Call, request: Request) -> tuple[str, ...]:
    return (_arn(call, request["SecretId"]),)


def _listed(call: Call, request: Request) -> tuple[str, ...]:
    return tuple(_arn(call, secret) for secret in request.get("SecretIdList", ())) or ("*",)
