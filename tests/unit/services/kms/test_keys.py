"""Keys: made, found, renamed, rotated, deleted."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable

import pytest
from tests.unit.services.kms.kms_harness import ACCOUNT, DAY, OTHER, Kms, refusal

from havre.kernel.errors import Permanent
from havre.services import kms as package
from havre.services.kms.resources import ALIAS, GRANT, KEY

TEXT = b"attack at dawn"


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_new_key_tells_of_itself(kms: Kms) -> None:
    made = kms.root.create_key(Description="mine", Tags=[{"TagKey": "a", "TagValue": "b"}])["KeyMetadata"]
    assert made == kms.root.describe_key(KeyId=made["KeyId"])["KeyMetadata"]
    assert made["Arn"] == f"arn:aws:kms:us-east-1:{ACCOUNT}:key/{made['KeyId']}"
    expected = {
        "AWSAccountId": ACCOUNT,
        "Description": "mine",
        "Enabled": True,
        "KeyState": "Enabled",
        "KeySpec": "SYMMETRIC_DEFAULT",
        "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
        "KeyUsage": "ENCRYPT_DECRYPT",
        "Origin": "AWS_KMS",
        "KeyManager": "CUSTOMER",
        "MultiRegion": False,
        "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
    }
    assert expected.items() <= made.items()
    assert kms.root.list_resource_tags(KeyId=made["KeyId"])["Tags"] == [{"TagKey": "a", "TagValue": "b"}]
    kms.root.update_key_description(KeyId=made["KeyId"], Description="ours")
    assert kms.root.describe_key(KeyId=made["Arn"])["KeyMetadata"]["Description"] == "ours"
    kms.root.untag_resource(KeyId=made["KeyId"], TagKeys=["a"])
    assert kms.root.list_resource_tags(KeyId=made["KeyId"])["Tags"] == []


def test_specs_need_a_usage_that_suits_them(kms: Kms) -> None:
    assert refusal(kms.root.create_key, KeySpec="HMAC_256")[1] == (
        "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys."
    )
    assert refusal(kms.root.create_key, KeyUsage="SIGN_VERIFY")[0] == "ValidationException"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fake-key-id", "Invalid keyId 'fake-key-id'"),
        ("134f2428cec14b25a1ae9048164dba47", "Invalid keyId '134f2428cec14b25a1ae9048164dba47'"),
        (
            "134f2428-cec1-4b25-a1ae-9048164dba47",
            f"Key 'arn:aws:kms:us-east-1:{ACCOUNT}:key/134f2428-cec1-4b25-a1ae-9048164dba47' does not exist",
        ),
        ("alias/nothing", f"Alias arn:aws:kms:us-east-1:{ACCOUNT}:alias/nothing is not found."),
        (
            f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/134f2428-cec1-4b25-a1ae-9048164dba47",
            "Invalid arn eu-west-1",
        ),
    ],
)
def test_what_is_not_there(kms: Kms, name: str, message: str) -> None:
    assert refusal(kms.root.describe_key, KeyId=name) == ("NotFoundException", message)


def test_aliases(kms: Kms) -> None:
    one, other = kms.key(), kms.key()
    kms.root.create_alias(AliasName="alias/mine", TargetKeyId=one)
    made = kms.root.encrypt(KeyId="alias/mine", Plaintext=TEXT)
    assert made["KeyId"] == one
    assert refusal(kms.root.create_alias, AliasName="alias/mine", TargetKeyId=other)[0] == "AlreadyExistsException"
    kms.root.update_alias(AliasName="alias/mine", TargetKeyId=other)
    arn = f"arn:aws:kms:us-east-1:{ACCOUNT}:alias/mine"
    assert kms.root.describe_key(KeyId=arn)["KeyMetadata"]["Arn"] == other
    assert kms.root.decrypt(CiphertextBlob=made["CiphertextBlob"])["KeyId"] == one
    listed = kms.root.list_aliases(KeyId=other)["Aliases"]
    assert [(a["AliasName"], a["AliasArn"]) for a in listed] == [("alias/mine", arn)]
    signing = kms.key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    assert refusal(kms.root.update_alias, AliasName="alias/mine", TargetKeyId=signing)[0] == "ValidationException"
    kms.root.delete_alias(AliasName="alias/mine")
    assert refusal(kms.root.describe_key, KeyId="alias/mine")[0] == "NotFoundException"
    assert refusal(kms.root.create_alias, AliasName="mine", TargetKeyId=one)[0] == "ValidationException"
    assert refusal(kms.root.create_alias, AliasName="alias/aws/x", TargetKeyId=one)[0] == "NotAuthorizedException"


def test_aws_managed_keys_are_made_when_they_are_first_used(kms: Kms) -> None:
    names = {a["AliasName"]: a.get("TargetKeyId") for a in kms.root.list_aliases(Limit=100)["Aliases"]}
    assert "alias/aws/lambda" in names and names["alias/aws/sqs"] is None
    found = kms.root.describe_key(KeyId="alias/aws/sqs")["KeyMetadata"]
    assert found["KeyManager"] == "AWS"
    assert kms.root.describe_key(KeyId="alias/aws/sqs")["KeyMetadata"]["KeyId"] == found["KeyId"]
    names = {a["AliasName"]: a.get("TargetKeyId") for a in kms.root.list_aliases(Limit=100)["Aliases"]}
    assert names["alias/aws/sqs"] == found["KeyId"]
    # nobody changes them, and nobody uses them but by way of the service
    assert refusal(kms.root.disable_key, KeyId=found["KeyId"])[0] == "AccessDeniedException"
    assert refusal(kms.root.schedule_key_deletion, KeyId=found["KeyId"])[0] == "AccessDeniedException"
    assert refusal(kms.root.encrypt, KeyId="alias/aws/sqs", Plaintext=TEXT)[0] == "AccessDeniedException"


def test_lists_have_pages(kms: Kms) -> None:
    made = {kms.key() for _ in range(3)}
    listed: set[str] = set()
    given: dict[str, str] = {}
    while True:
        page = kms.root.list_keys(Limit=2, **given)
        assert len(page["Keys"]) <= 2
        listed |= {each["KeyArn"] for each in page["Keys"]}
        if not page["Truncated"]:
            break
        given = {"Marker": page["NextMarker"]}
    assert made <= listed
    assert refusal(kms.root.list_keys, Marker="x")[0] == "InvalidMarkerException"


def test_deletion_waits_and_can_be_called_off(kms: Kms) -> None:
    key = kms.key()
    made = kms.root.encrypt(KeyId=key, Plaintext=TEXT)["CiphertextBlob"]
    kms.root.create_alias(AliasName="alias/going", TargetKeyId=key)
    told = kms.root.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    assert (told["KeyId"], told["KeyState"], told["PendingWindowInDays"]) == (key, "PendingDeletion", 7)
    assert refusal(kms.root.decrypt, CiphertextBlob=made) == ("KMSInvalidStateException", f"{key} is pending deletion.")
    assert refusal(kms.root.enable_key, KeyId=key)[0] == "KMSInvalidStateException"
    assert kms.root.cancel_key_deletion(KeyId=key)["KeyId"] == key
    assert kms.root.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Disabled"
    assert refusal(kms.root.cancel_key_deletion, KeyId=key)[0] == "KMSInvalidStateException"
    assert refusal(kms.root.schedule_key_deletion, KeyId=key, PendingWindowInDays=6)[0] == "ValidationException"


def test_a_deleted_key_is_gone_with_all_that_hangs_on_it() -> None:
    kms = Kms("open")
    try:
        key = kms.key()
        made = kms.root.encrypt(KeyId=key, Plaintext=TEXT)["CiphertextBlob"]
        kms.root.create_alias(AliasName="alias/going", TargetKeyId=key)
        kms.root.create_grant(KeyId=key, GranteePrincipal=f"arn:aws:iam::{OTHER}:root", Operations=["Decrypt"])
        kms.root.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
        kms.running.offset += 7 * DAY + 1
        assert refusal(kms.root.describe_key, KeyId=key)[0] == "NotFoundException"
        assert refusal(kms.root.decrypt, CiphertextBlob=made)[0] == "AccessDeniedException"
        kms.tick()
        until(lambda: not kms.running.store.list(KEY))
        assert not kms.running.store.list(ALIAS) and not kms.running.store.list(GRANT)
    finally:
        kms.close()


def test_what_was_encrypted_before_a_rotation_is_decrypted_after_it(kms: Kms) -> None:
    key = kms.key()
    made = kms.root.encrypt(KeyId=key, Plaintext=TEXT)["CiphertextBlob"]
    before = kms.root.describe_key(KeyId=key)["KeyMetadata"]["CurrentKeyMaterialId"]
    assert kms.root.rotate_key_on_demand(KeyId=key)["KeyId"] == key
    after = kms.root.decrypt(CiphertextBlob=made)
    assert (after["Plaintext"], after["KeyMaterialId"]) == (TEXT, before)
    fresh = kms.root.encrypt(KeyId=key, Plaintext=TEXT)["CiphertextBlob"]
    assert kms.root.decrypt(CiphertextBlob=fresh)["KeyMaterialId"] != before
    assert [turn["RotationType"] for turn in kms.root.list_key_rotations(KeyId=key)["Rotations"]] == ["ON_DEMAND"]
    signing = kms.key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    assert refusal(kms.root.enable_key_rotation, KeyId=signing)[0] == "UnsupportedOperationException"


def test_keys_rotate_when_it_is_due() -> None:
    kms = Kms("open")
    try:
        key = kms.key()
        assert not kms.root.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"]
        kms.root.enable_key_rotation(KeyId=key, RotationPeriodInDays=90)
        status = kms.root.get_key_rotation_status(KeyId=key)
        assert (status["KeyRotationEnabled"], status["RotationPeriodInDays"]) == (True, 90)
        made = kms.root.encrypt(KeyId=key, Plaintext=TEXT)["CiphertextBlob"]
        kms.running.offset += 90 * DAY + 1
        kms.tick()
        until(lambda: bool(kms.root.list_key_rotations(KeyId=key)["Rotations"]))
        assert [t["RotationType"] for t in kms.root.list_key_rotations(KeyId=key)["Rotations"]] == ["AUTOMATIC"]
        assert kms.root.decrypt(CiphertextBlob=made)["Plaintext"] == TEXT
    finally:
        kms.close()


def test_the_store_alone_holds_no_key_material(kms: Kms) -> None:
    key = kms.key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")
    found = kms.running.store.get(KEY, ACCOUNT, "us-east-1", key.rpartition("/")[2])
    assert found is not None
    sealed = found.spec.materials[0].sealed
    material = kms.vault.open(sealed, key)
    assert len(material) == 32 and material not in sealed
    for vault, place in ((package.Vault(b"\x08" * 32), key), (kms.vault, key + "x")):
        with pytest.raises(Permanent):
            vault.open(sealed, place)


def test_neither_plaintext_nor_material_is_in_the_trail(kms: Kms) -> None:
    key = kms.key()
    secret = "c2VjcmV0LXRleHQ"
    made = kms.root.encrypt(KeyId=key, Plaintext=secret.encode(), EncryptionContext={"a": "b"})
    kms.root.decrypt(CiphertextBlob=made["CiphertextBlob"], EncryptionContext={"a": "b"})
    for name in ("Encrypt", "Decrypt"):
        event = kms.running.events(name)[0]
        assert event["requestParameters"]["encryptionContext"] == {"a": "b"}
        assert secret not in str(event)
        assert base64.b64encode(secret.encode()).decode() not in str(event)
