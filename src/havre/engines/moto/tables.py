"""What DynamoDB's tables tell of themselves, and moto's do not: their ids, which tools keep. And no keys of moto's own KMS:
nobody else knows them, and no snapshot can hold them.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any
from uuid import UUID

from moto.dynamodb.models import table


def _id(of: Any) -> str:
    """The same whenever it is asked for; another one for a table of the same name that was made later."""
    return str(UUID(bytes=sha256(f"{of.table_arn} {of.created_at}".encode()).digest()[:16], version=4))


def install() -> None:
    theirs: Any = table.Table
    describe = theirs.describe

    def described(self: Any, base_key: str = "TableDescription") -> dict[str, Any]:
        told: dict[str, Any] = describe(self, base_key)
        told[base_key]["TableId"] = _id(self)
        return told

    theirs.describe = described
    theirs._get_default_encryption_key = _usual_key


def _usual_key(self: Any, account_id: str, region: str) -> str:
    """Of tables from before the server named one."""
    return f"arn:aws:kms:{region}:{account_id}:alias/aws/dynamodb"
