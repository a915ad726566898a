"""The policies that AWS manages: those that container workloads use, as data.

``policies.json``: name with path → description, creation date, document; ``approximate`` marks a document that is
shorter than AWS's own and says in what. Read on first use.
"""

from __future__ import annotations

import base64
from functools import cache
from hashlib import sha256
from pathlib import Path

import msgspec

PREFIX = "arn:aws:iam::aws:policy/"


class AwsPolicy(msgspec.Struct, frozen=True):
    """``name`` with its path but without the leading slash (``service-role/AmazonECSTaskExecutionRolePolicy``)."""

    name: str
    document: msgspec.Raw
    description: str = ""
    created: str = "2015-02-06"
    version: int = 1
    approximate: str = ""

    @property
    def text(self) -> str:
        return bytes(self.document).decode()

    @property
    def id(self) -> str:
        """``ANPA…``, the same in every installation."""
        return "ANPA" + base64.b32encode(sha256(self.name.encode()).digest())[:17].decode()

    @property
    def arn(self) -> str:
        return PREFIX + self.name


@cache
def catalogue() -> dict[str, AwsPolicy]:
    """By ARN."""
    raw = (Path(__file__).parent / "policies.json").read_bytes()
    return {p.arn: p for p in msgspec.json.decode(raw, type=list[AwsPolicy])}


def find(arn: str) -> AwsPolicy | None:
    return catalogue().get(arn) if arn.startswith(PREFIX) else None


def document(arn: str) -> str | None:
    found = find(arn)
    return None if found is None else found.text
