"""Who may use a key: its policy, IAM's policies, grants."""

from __future__ import annotations

from tests.running_gateway import OTHER_ROOT
from tests.unit.services.kms.kms_harness import ACCOUNT, OTHER, Kms, allow, policy, refusal

TEXT = b"attack at dawn"
ROOT_ARN = f"arn:aws:iam::{ACCOUNT}:root"


def test_by_default_the_accounts_policies_decide(kms: Kms) -> None:
    key = kms.key()
    able, _ = kms.user(allow("kms:Encrypt"))
    unable, arn = kms.user()
    assert able.encrypt(KeyId=key, Plaintext=TEXT)["KeyId"] == key
    code, message = refusal(unable.encrypt, KeyId=key, Plaintext=TEXT)
    assert code == "AccessDeniedException"
    assert message == (
        f"User: {arn} is not authorized to perform: kms:Encrypt on resource: {key} because no identity-based policy "
        "allows the kms:Encrypt action"
    )


def test_without_the_keys_leave_nothing_else_allows(kms: Kms) -> None:
    user, _ = kms.user(allow("kms:*"))
    only = policy(
        allow("kms:*", Principal={"AWS": ROOT_ARN}, Condition={"Bool": {"aws:MultiFactorAuthPresent": "true"}})
    )
    key = kms.key(Policy=only, BypassPolicyLockoutSafetyCheck=True)
    code, message = refusal(user.encrypt, KeyId=key, Plaintext=TEXT)
    assert code == "AccessDeniedException" and "no resource-based policy allows the kms:Encrypt action" in message
    assert refusal(kms.root.encrypt, KeyId=key, Plaintext=TEXT)[0] == "AccessDeniedException"


def test_the_key_policy_names_who_may(kms: Kms) -> None:
    user, arn = kms.user()
    both = policy(allow("kms:*", Principal={"AWS": ROOT_ARN}), allow("kms:Encrypt", Principal={"AWS": arn}))
    key = kms.key(Policy=both)
    assert user.encrypt(KeyId=key, Plaintext=TEXT)["KeyId"] == key
    assert refusal(user.generate_data_key, KeyId=key, KeySpec="AES_256")[0] == "AccessDeniedException"
    assert kms.root.get_key_policy(KeyId=key)["Policy"] == both
    assert kms.root.list_key_policies(KeyId=key)["PolicyNames"] == ["default"]


def test_who_sets_a_policy_does_not_lock_himself_out(kms: Kms) -> None:
    key = kms.key()
    shut = policy(allow("kms:Decrypt", Principal={"AWS": ROOT_ARN}))
    told = refusal(kms.root.put_key_policy, KeyId=key, PolicyName="default", Policy=shut)
    assert told[0] == "MalformedPolicyDocumentException"
    assert "will not allow you to update the key policy in the future" in told[1]
    assert refusal(kms.root.put_key_policy, KeyId=key, Policy="{}")[0] == "MalformedPolicyDocumentException"
    kms.root.put_key_policy(KeyId=key, Policy=shut, BypassPolicyLockoutSafetyCheck=True)
    assert refusal(kms.root.disable_key, KeyId=key)[0] == "AccessDeniedException"


def test_an_alias_is_decided_on_as_its_key(kms: Kms) -> None:
    key, other = kms.key(), kms.key()
    user, _ = kms.user({"Effect": "Allow", "Action": "kms:Encrypt", "Resource": key})
    kms.root.create_alias(AliasName="alias/decided", TargetKeyId=key)
    assert user.encrypt(KeyId="alias/decided", Plaintext=TEXT)["KeyId"] == key
    kms.root.update_alias(AliasName="alias/decided", TargetKeyId=other)
    assert refusal(user.encrypt, KeyId="alias/decided", Plaintext=TEXT)[0] == "AccessDeniedException"


def test_conditions_on_the_context_and_the_alias(kms: Kms) -> None:
    key = kms.key(Tags=[{"TagKey": "team", "TagValue": "red"}])
    kms.root.create_alias(AliasName="alias/conditional", TargetKeyId=key)
    for condition, good, bad in (
        (
            {"kms:EncryptionContext:app": "one"},
            {"EncryptionContext": {"app": "one"}},
            {"EncryptionContext": {"app": "two"}},
        ),
        ({"kms:RequestAlias": "alias/conditional"}, {"KeyId": "alias/conditional"}, {}),
    ):
        user, _ = kms.user(allow("kms:Encrypt", Condition={"StringEquals": condition}))
        assert user.encrypt(**{"KeyId": key, "Plaintext": TEXT, **good})["KeyId"] == key
        assert refusal(user.encrypt, **{"KeyId": key, "Plaintext": TEXT, **bad})[0] == "AccessDeniedException"
    for condition, allowed in (({"aws:ResourceTag/team": "red"}, True), ({"aws:ResourceTag/team": "blue"}, False)):
        user, _ = kms.user(allow("kms:Encrypt", Condition={"StringEquals": condition}))
        told = refusal(user.encrypt, KeyId=key, Plaintext=TEXT)[0]
        assert told == ("" if allowed else "AccessDeniedException")


def test_re_encrypting_needs_leave_on_both_keys(kms: Kms) -> None:
    old, new = kms.key(), kms.key()
    made = kms.root.encrypt(KeyId=old, Plaintext=TEXT)["CiphertextBlob"]
    for statements, allowed in (
        ([{"Effect": "Allow", "Action": "kms:ReEncryptTo", "Resource": new}], False),
        ([{"Effect": "Allow", "Action": "kms:ReEncryptFrom", "Resource": old}], False),
        ([{"Effect": "Allow", "Action": "kms:ReEncrypt*", "Resource": [old, new]}], True),
    ):
        user, _ = kms.user(*statements)
        told = refusal(user.re_encrypt, CiphertextBlob=made, DestinationKeyId=new)[0]
        assert told == ("" if allowed else "AccessDeniedException")


def test_a_grant_allows_what_it_says_and_ends(kms: Kms) -> None:
    key = kms.key()
    user, arn = kms.user()
    made = kms.root.encrypt(KeyId=key, Plaintext=TEXT, EncryptionContext={"app": "one"})["CiphertextBlob"]
    given = {"CiphertextBlob": made, "EncryptionContext": {"app": "one"}}
    assert refusal(user.decrypt, **given)[0] == "AccessDeniedException"
    grant = kms.root.create_grant(
        KeyId=key,
        GranteePrincipal=arn,
        Operations=["Decrypt"],
        Constraints={"EncryptionContextSubset": {"app": "one"}},
        Name="mine",
    )
    assert user.decrypt(**given)["Plaintext"] == TEXT
    assert refusal(user.encrypt, KeyId=key, Plaintext=TEXT)[0] == "AccessDeniedException"
    bare = kms.root.encrypt(KeyId=key, Plaintext=TEXT)["CiphertextBlob"]
    assert refusal(user.decrypt, CiphertextBlob=bare)[0] == "AccessDeniedException"
    listed = kms.root.list_grants(KeyId=key)["Grants"]
    assert [(g["GrantId"], g["GranteePrincipal"], g["Operations"], g["KeyId"]) for g in listed] == [
        (grant["GrantId"], arn, ["Decrypt"], key)
    ]
    kms.root.revoke_grant(KeyId=key, GrantId=grant["GrantId"])
    assert refusal(user.decrypt, **given)[0] == "AccessDeniedException"
    assert refusal(kms.root.revoke_grant, KeyId=key, GrantId=grant["GrantId"])[0] == "NotFoundException"


def test_a_grant_for_exactly_one_context(kms: Kms) -> None:
    key = kms.key()
    user, arn = kms.user()
    kms.root.create_grant(
        KeyId=key, GranteePrincipal=arn, Operations=["Encrypt"], Constraints={"EncryptionContextEquals": {"a": "b"}}
    )
    assert user.encrypt(KeyId=key, Plaintext=TEXT, EncryptionContext={"a": "b"})["KeyId"] == key
    for context in ({}, {"a": "c"}, {"a": "b", "c": "d"}):
        told = refusal(user.encrypt, KeyId=key, Plaintext=TEXT, EncryptionContext=context)
        assert told[0] == "AccessDeniedException"


def test_grants_with_the_same_name_are_one(kms: Kms) -> None:
    key = kms.key()
    given = {"KeyId": key, "GranteePrincipal": ROOT_ARN, "Operations": ["Decrypt"], "Name": "same"}
    one, other = kms.root.create_grant(**given), kms.root.create_grant(**given)
    assert one["GrantId"] == other["GrantId"] and len(kms.root.list_grants(KeyId=key)["Grants"]) == 1


def test_whoever_may_retires_a_grant(kms: Kms) -> None:
    key = kms.key()
    retiring, arn = kms.user()
    stranger, _ = kms.user()
    made = kms.root.create_grant(KeyId=key, GranteePrincipal=ROOT_ARN, Operations=["Decrypt"], RetiringPrincipal=arn)
    assert [g["GrantId"] for g in kms.root.list_retirable_grants(RetiringPrincipal=arn)["Grants"]] == [made["GrantId"]]
    assert refusal(stranger.retire_grant, GrantToken=made["GrantToken"])[0] == "AccessDeniedException"
    retiring.retire_grant(GrantToken=made["GrantToken"])
    assert kms.root.list_grants(KeyId=key)["Grants"] == []
    assert refusal(kms.root.retire_grant, GrantToken="nothing")[0] == "InvalidGrantTokenException"


def test_operations_that_a_key_cannot_do_cannot_be_granted(kms: Kms) -> None:
    told = refusal(kms.root.create_grant, KeyId=kms.key(), GranteePrincipal=ROOT_ARN, Operations=["Sign"])
    assert told[0] == "ValidationException"
    told = refusal(kms.root.create_grant, KeyId=kms.key(), GranteePrincipal="nobody", Operations=["Decrypt"])
    assert told[0] == "InvalidArnException"


def test_another_account_needs_leave_from_both(kms: Kms) -> None:
    theirs = kms.running.client("kms", OTHER_ROOT)
    key = kms.key()
    made = kms.root.encrypt(KeyId=key, Plaintext=TEXT)["CiphertextBlob"]
    assert refusal(theirs.decrypt, CiphertextBlob=made)[0] == "AccessDeniedException"
    shared = policy(
        allow("kms:*", Principal={"AWS": ROOT_ARN}),
        allow("kms:Decrypt", Principal={"AWS": f"arn:aws:iam::{OTHER}:root"}),
    )
    kms.root.put_key_policy(KeyId=key, Policy=shared)
    assert theirs.decrypt(CiphertextBlob=made)["Plaintext"] == TEXT
    assert refusal(theirs.describe_key, KeyId=key)[0] == "AccessDeniedException"


def test_ciphertext_cannot_say_which_rsa_key_is_decided_on(kms: Kms) -> None:
    """It is the one that the request names, whatever the ciphertext looks like."""
    mine, theirs = kms.key(), kms.key(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")
    user, _ = kms.user({"Effect": "Allow", "Action": "kms:*", "Resource": mine})
    forged = kms.root.encrypt(KeyId=mine, Plaintext=b"x" * 160)["CiphertextBlob"]
    how = {"CiphertextBlob": forged, "KeyId": theirs}
    assert refusal(user.decrypt, EncryptionAlgorithm="RSAES_OAEP_SHA_256", **how)[0] == "AccessDeniedException"
    asked = {"CiphertextBlob": forged, "SourceKeyId": theirs, "DestinationKeyId": mine}
    told = refusal(user.re_encrypt, SourceEncryptionAlgorithm="RSAES_OAEP_SHA_256", **asked)
    assert told[0] == "AccessDeniedException" and "kms:ReEncryptFrom" in told[1]
