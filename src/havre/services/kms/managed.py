"""AWS managed keys: one for each service that has an alias for it, made when the alias is first used.

Their ids follow from account, region and alias, so that a decision about one can be made before it is there.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache

SERVICES = (
    *(
        "acm",
        "backup",
        "dynamodb",
        "ebs",
        "elasticfilesystem",
        "es",
        "kinesis",
        "lambda",
        "rds",
        "s3",
        "secretsmanager",
    ),
    *("sns", "sqs", "ssm", "xray"),
)
PREFIX = "alias/aws/"
ALIASES = frozenset(PREFIX + name for name in SERVICES)
_USES = (
    *("kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*"),
    *("kms:CreateGrant", "kms:DescribeKey"),
)


@lru_cache(maxsize=256)
def ids(account: str, region: str) -> dict[str, str]:
    """Alias → the id of its key."""
    return {alias: _id(f"{account}/{region}/{alias}") for alias in sorted(ALIASES)}


def alias_of(account: str, region: str, key: str) -> str:
    """ "" for a key that is none of them."""
    return next((alias for alias, id in ids(account, region).items() if id == key), "")


def _id(text: str) -> str:
    h = hashlib.sha256(text.encode()).hexdigest()
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:32]}"


@lru_cache(maxsize=256)
def policy(account: str, region: str, alias: str) -> str:
    """Everybody in the account, by way of the service alone, may use it; the account may look at it."""
    service = alias.removeprefix(PREFIX)
    by_way = {"kms:CallerAccount": account, "kms:ViaService": f"{service}.{region}.amazonaws.com"}
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Id": f"auto-{service}-1",
            "Statement": [
                {
                    "Sid": f"Allow access through {service} for all principals in the account",
                    "Effect": "Allow",
                    "Principal": {"AWS": "*"},
                    "Action": list(_USES),
                    "Resource": "*",
                    "Condition": {"StringEquals": by_way},
                },
                {
                    "Sid": "Allow direct access to key metadata to the account",
                    "Effect": "Allow",
                    "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
                    "Action": ["kms:Describe*", "kms:Get*", "kms:List*", "kms:RevokeGrant"],
                    "Resource": "*",
                },
            ],
        }
    )


def description(alias: str) -> str:
    service = alias.removeprefix(PREFIX)
    return f"Default key that protects my {service} data when no other key is defined"
