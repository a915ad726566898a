"""Keys of tables: asked of KMS, told by their ARNs, and in nobody's way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.lending import Lent
from tests.running_gateway import code

NOBODY = "14e0db71-e000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def lent(tmp_path_factory: Any) -> Iterator[Lent]:
    found = Lent(tmp_path_factory.mktemp("borrowed"))
    yield found
    found.close()


def make(lent: Lent, name: str, **specification: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"SSESpecification": specification} if specification else {}
    lent.client("dynamodb").create_table(**shape(name), **given)
    told: dict[str, Any] = lent.client("dynamodb").describe_table(TableName=name)["Table"]
    return told


def shape(name: str) -> dict[str, Any]:
    return {
        "TableName": name,
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    }


def test_a_tables_key_is_told_by_its_arn(lent: Lent) -> None:
    kms = lent.client("kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    kms.create_alias(AliasName="alias/tables", TargetKeyId=key)
    own = make(lent, "own", Enabled=True, SSEType="KMS", KMSMasterKeyId="alias/tables")["SSEDescription"]
    assert own == {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": key}
    managed = make(lent, "managed", Enabled=True)["SSEDescription"]["KMSMasterKeyArn"]
    assert kms.describe_key(KeyId="alias/aws/dynamodb")["KeyMetadata"]["Arn"] == managed
    assert "SSEDescription" not in make(lent, "plain") and "SSEDescription" not in make(lent, "off", Enabled=False)


def test_tables_under_keys_do_not_keep_snapshots_from_being_made(lent: Lent) -> None:
    make(lent, "kept", Enabled=True)
    before = {path.name for path in lent.beside._folder.glob("*.snapshot")}
    lent.stop_beside()
    assert {path.name for path in lent.beside._folder.glob("*.snapshot")} - before
    assert "kept" in lent.client("dynamodb").list_tables()["TableNames"]


def test_what_no_table_can_be_under(lent: Lent) -> None:
    kms, dynamodb = lent.client("kms"), lent.client("dynamodb")
    disabled = kms.create_key()["KeyMetadata"]["Arn"]
    kms.disable_key(KeyId=disabled)
    signing = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    wrong: list[dict[str, Any]] = [{"KMSMasterKeyId": key} for key in (NOBODY, disabled, signing)]
    for each in ({"SSEType": "AES256"}, *wrong):
        asked = {"SSESpecification": {"Enabled": True, **each}}
        assert code(dynamodb.create_table, **shape("wrong"), **asked) == "ValidationException", each
    assert "wrong" not in dynamodb.list_tables()["TableNames"]
    make(lent, "later")
    change = {"TableName": "later", "SSESpecification": {"Enabled": True}}
    assert code(dynamodb.update_table, **change) == "NotImplementedException"
