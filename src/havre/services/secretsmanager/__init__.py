"""Secrets Manager.

The promise: secrets, their versions and stages, deletion and recovery, policies and tags, from moto
(docs/design/borrowed.md): signatures, policies and the trail are Havre's, what an operation does is moto's. Left out:
rotation, which needs functions that are called, and replication into other regions. Values are kept as they are, without
KMS, in files that only the owner of the state directory can read.
"""

from __future__ import annotations

from havre.control.borrowed import Lender, Loans
from havre.control.operation import Call, Request, Service


def service(lender: Lender | None = None) -> Service:
    loans = Loans("secretsmanager", lender)
    loans.lend("CreateSecret", resources=_new)
    loans.lend(
        *("DescribeSecret", "GetResourcePolicy", "GetSecretValue", "ListSecretVersionIds"),
        *("DeleteResourcePolicy", "DeleteSecret", "PutResourcePolicy", "PutSecretValue", "RestoreSecret"),
        *("TagResource", "UntagResource", "UpdateSecret", "UpdateSecretVersionStage"),
        resources=_secret,
    )
    loans.lend("BatchGetSecretValue", resources=_listed)
    loans.lend("GetRandomPassword", "ListSecrets")
    return loans.service(
        partial={
            "KmsKeyId": "values are not encrypted: there is no KMS",
            "CreateSecret.AddReplicaRegions": "no replicas are made",
            "PutResourcePolicy": "kept and told, not asked for decisions",
        }
    )


def _arn(call: Call, secret: str) -> str:
    """A name stands for whatever six characters AWS has put behind it."""
    return secret if secret.startswith("arn:") else call.arn(f"secret:{secret}-??????")


def _new(call: Call, request: Request) -> tuple[str, ...]:
    return (_arn(call, request["Name"]),)


def _secret(call: Call, request: Request) -> tuple[str, ...]:
    return (_arn(call, request["SecretId"]),)


def _listed(call: Call, request: Request) -> tuple[str, ...]:
    return tuple(_arn(call, secret) for secret in request.get("SecretIdList", ())) or ("*",)
