"""What keys do: encryption, data keys, signatures, codes; and in which state they do it."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils
from cryptography.hazmat.primitives.serialization import load_der_public_key
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.services.kms.kms_harness import Kms, refusal

from havre.services.kms import crypto

TEXT = b"attack at dawn"


def test_what_was_encrypted_is_decrypted(kms: Kms) -> None:
    key = kms.key()
    made = kms.root.encrypt(KeyId=key, Plaintext=TEXT, EncryptionContext={"a": "b"})
    assert made["KeyId"] == key and TEXT not in made["CiphertextBlob"]
    found = kms.root.decrypt(CiphertextBlob=made["CiphertextBlob"], EncryptionContext={"a": "b"})
    assert (found["Plaintext"], found["KeyId"], found["EncryptionAlgorithm"]) == (TEXT, key, "SYMMETRIC_DEFAULT")
    again = kms.root.encrypt(KeyId=key, Plaintext=TEXT, EncryptionContext={"a": "b"})
    assert again["CiphertextBlob"] != made["CiphertextBlob"]


@pytest.mark.parametrize("context", [{}, {"a": "c"}, {"a": "b", "c": "d"}, {"ab": ""}])
def test_another_context_is_another_ciphertext(kms: Kms, context: dict[str, str]) -> None:
    made = kms.root.encrypt(KeyId=kms.key(), Plaintext=TEXT, EncryptionContext={"a": "b"})
    told = refusal(kms.root.decrypt, CiphertextBlob=made["CiphertextBlob"], EncryptionContext=context)
    assert told == ("InvalidCiphertextException", "")


@given(st.dictionaries(st.text(), st.text()), st.dictionaries(st.text(), st.text()))
def test_contexts_are_told_apart(one: dict[str, str], other: dict[str, str]) -> None:
    assert (crypto.canonical(one) == crypto.canonical(other)) == (one == other)


@pytest.mark.parametrize("at", [0, 5, 20, 51, 60, -1])
def test_ciphertext_that_was_altered_is_refused(kms: Kms, at: int) -> None:
    made = bytearray(kms.root.encrypt(KeyId=kms.key(), Plaintext=TEXT)["CiphertextBlob"])
    made[at] ^= 1
    assert refusal(kms.root.decrypt, CiphertextBlob=bytes(made))[0] in (
        "InvalidCiphertextException",
        "AccessDeniedException",  # it names another key
    )


def test_garbage_is_no_ciphertext(kms: Kms) -> None:
    assert refusal(kms.root.decrypt, CiphertextBlob=b"garbage")[0] == "InvalidCiphertextException"


def test_the_key_that_is_named_must_be_the_one(kms: Kms) -> None:
    made = kms.root.encrypt(KeyId=kms.key(), Plaintext=TEXT)["CiphertextBlob"]
    assert refusal(kms.root.decrypt, CiphertextBlob=made, KeyId=kms.key())[0] == "IncorrectKeyException"


def test_data_keys(kms: Kms) -> None:
    key = kms.key()
    made = kms.root.generate_data_key(KeyId=key, KeySpec="AES_256")
    assert len(made["Plaintext"]) == 32
    assert kms.root.decrypt(CiphertextBlob=made["CiphertextBlob"])["Plaintext"] == made["Plaintext"]
    bare = kms.root.generate_data_key_without_plaintext(KeyId=key, NumberOfBytes=7)
    assert "Plaintext" not in bare and len(kms.root.decrypt(CiphertextBlob=bare["CiphertextBlob"])["Plaintext"]) == 7
    assert refusal(kms.root.generate_data_key, KeyId=key)[0] == "ValidationException"
    pair = kms.root.generate_data_key_pair(KeyId=key, KeyPairSpec="ECC_NIST_P256")
    opened = kms.root.decrypt(CiphertextBlob=pair["PrivateKeyCiphertextBlob"])["Plaintext"]
    assert opened == pair["PrivateKeyPlaintext"]


def test_encrypted_anew_under_another_key(kms: Kms) -> None:
    old, new = kms.key(), kms.key()
    made = kms.root.encrypt(KeyId=old, Plaintext=TEXT, EncryptionContext={"a": "b"})["CiphertextBlob"]
    again = kms.root.re_encrypt(
        CiphertextBlob=made,
        SourceEncryptionContext={"a": "b"},
        DestinationKeyId=new,
        DestinationEncryptionContext={"c": "d"},
    )
    assert (again["SourceKeyId"], again["KeyId"]) == (old, new)
    found = kms.root.decrypt(CiphertextBlob=again["CiphertextBlob"], EncryptionContext={"c": "d"})
    assert (found["Plaintext"], found["KeyId"]) == (TEXT, new)


def test_rsa_encrypts(kms: Kms) -> None:
    key = kms.key(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")
    public: Any = load_der_public_key(kms.root.get_public_key(KeyId=key)["PublicKey"])
    digest = hashes.SHA256()
    ciphertext = public.encrypt(TEXT, padding.OAEP(mgf=padding.MGF1(digest), algorithm=digest, label=None))
    how = {"KeyId": key, "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
    assert kms.root.decrypt(CiphertextBlob=ciphertext, **how)["Plaintext"] == TEXT
    assert refusal(kms.root.encrypt, Plaintext=b"x" * 191, **how)[1] == (
        "Algorithm RSAES_OAEP_SHA_256 and key spec RSA_2048 cannot encrypt data larger than 190 bytes."
    )
    assert refusal(kms.root.encrypt, Plaintext=TEXT, KeyId=key)[0] == "InvalidKeyUsageException"
    assert refusal(kms.root.decrypt, CiphertextBlob=b"x" * 256, **how)[0] == "InvalidCiphertextException"


@pytest.mark.parametrize(
    ("spec", "algorithm"),
    [
        ("RSA_2048", "RSASSA_PSS_SHA_384"),
        ("RSA_2048", "RSASSA_PKCS1_V1_5_SHA_256"),
        ("ECC_NIST_P256", "ECDSA_SHA_256"),
        ("ECC_NIST_P384", "ECDSA_SHA_384"),
        ("ECC_NIST_P521", "ECDSA_SHA_512"),
        ("ECC_SECG_P256K1", "ECDSA_SHA_256"),
    ],
)
def test_signatures_that_others_can_check(kms: Kms, spec: str, algorithm: str) -> None:
    how = {"KeyId": kms.key(KeySpec=spec, KeyUsage="SIGN_VERIFY"), "SigningAlgorithm": algorithm}
    signature = kms.root.sign(Message=TEXT, **how)["Signature"]
    assert kms.root.verify(Message=TEXT, Signature=signature, **how)["SignatureValid"]
    assert refusal(kms.root.verify, Message=b"other", Signature=signature, **how) == (
        "KMSInvalidSignatureException",
        "",
    )
    public: Any = load_der_public_key(kms.root.get_public_key(KeyId=how["KeyId"])["PublicKey"])
    digest = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}[algorithm[-3:]]
    if algorithm.startswith("ECDSA"):
        public.verify(signature, TEXT, ec.ECDSA(digest))
    elif "PSS" in algorithm:
        public.verify(signature, TEXT, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
    else:
        public.verify(signature, TEXT, padding.PKCS1v15(), digest)
    hashed = hashlib.new(f"sha{algorithm[-3:]}", TEXT).digest()
    from_digest = kms.root.sign(Message=hashed, MessageType="DIGEST", **how)["Signature"]
    assert kms.root.verify(Message=TEXT, Signature=from_digest, **how)["SignatureValid"]
    assert refusal(kms.root.sign, Message=b"bad", MessageType="DIGEST", **how)[1] == (
        f"Digest is invalid length for algorithm {algorithm}."
    )


def test_signatures_made_of_a_digest_are_of_the_message(kms: Kms) -> None:
    key = kms.key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    digest = hashlib.sha256(TEXT).digest()
    made = kms.root.sign(KeyId=key, Message=digest, MessageType="DIGEST", SigningAlgorithm="ECDSA_SHA_256")["Signature"]
    public: Any = load_der_public_key(kms.root.get_public_key(KeyId=key)["PublicKey"])
    public.verify(made, digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))


@pytest.mark.parametrize("bits", ["224", "256", "384", "512"])
def test_codes(kms: Kms, bits: str) -> None:
    key = kms.key(KeySpec=f"HMAC_{bits}", KeyUsage="GENERATE_VERIFY_MAC")
    how = {"KeyId": key, "MacAlgorithm": f"HMAC_SHA_{bits}"}
    made = kms.root.generate_mac(Message=TEXT, **how)["Mac"]
    assert len(made) == int(bits) // 8
    assert kms.root.verify_mac(Message=TEXT, Mac=made, **how)["MacValid"]
    assert refusal(kms.root.verify_mac, Message=b"other", Mac=made, **how) == ("KMSInvalidMacException", "")
    other = "256" if bits != "256" else "512"
    assert refusal(kms.root.generate_mac, KeyId=key, Message=TEXT, MacAlgorithm=f"HMAC_SHA_{other}") == (
        "InvalidKeyUsageException",
        f"Algorithm HMAC_SHA_{other} is incompatible with key spec HMAC_{bits}.",
    )


def test_two_parties_agree_on_a_secret(kms: Kms) -> None:
    one, other = (kms.key(KeySpec="ECC_NIST_P256", KeyUsage="KEY_AGREEMENT") for _ in range(2))
    public = [kms.root.get_public_key(KeyId=key)["PublicKey"] for key in (other, one)]
    shared = [
        kms.root.derive_shared_secret(KeyId=key, PublicKey=theirs, KeyAgreementAlgorithm="ECDH")["SharedSecret"]
        for key, theirs in zip((one, other), public, strict=True)
    ]
    assert shared[0] == shared[1] and len(shared[0]) == 32
    told = refusal(kms.root.derive_shared_secret, KeyId=one, PublicKey=b"nothing", KeyAgreementAlgorithm="ECDH")
    assert told[0] == "ValidationException"


def test_keys_do_what_they_are_for_and_nothing_else(kms: Kms) -> None:
    symmetric, mac = kms.key(), kms.key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")
    assert refusal(kms.root.generate_mac, KeyId=symmetric, Message=TEXT, MacAlgorithm="HMAC_SHA_256") == (
        "InvalidKeyUsageException",
        f"{symmetric} key usage is ENCRYPT_DECRYPT which is not valid for GenerateMac.",
    )
    assert refusal(kms.root.encrypt, KeyId=mac, Plaintext=TEXT)[0] == "InvalidKeyUsageException"
    assert refusal(kms.root.get_public_key, KeyId=symmetric)[0] == "UnsupportedOperationException"


def test_a_disabled_key_does_nothing(kms: Kms) -> None:
    key = kms.key()
    made = kms.root.encrypt(KeyId=key, Plaintext=TEXT)["CiphertextBlob"]
    kms.root.disable_key(KeyId=key)
    for call, said in (
        (kms.root.encrypt, {"KeyId": key, "Plaintext": TEXT}),
        (kms.root.decrypt, {"CiphertextBlob": made}),
        (kms.root.generate_data_key, {"KeyId": key, "KeySpec": "AES_256"}),
    ):
        assert refusal(call, **said) == ("DisabledException", f"{key} is disabled.")
    kms.root.enable_key(KeyId=key)
    assert kms.root.decrypt(CiphertextBlob=made)["Plaintext"] == TEXT


def test_dry_runs_change_and_tell_nothing(kms: Kms) -> None:
    key = kms.key()
    made = kms.root.encrypt(KeyId=key, Plaintext=TEXT)["CiphertextBlob"]
    for call, said in (
        (kms.root.encrypt, {"KeyId": key, "Plaintext": TEXT}),
        (kms.root.decrypt, {"CiphertextBlob": made}),
        (
            kms.root.create_grant,
            {"KeyId": key, "GranteePrincipal": "arn:aws:iam::111122223333:root", "Operations": ["Decrypt"]},
        ),
    ):
        assert refusal(call, DryRun=True, **said)[0] == "DryRunOperationException"
    assert kms.root.list_grants(KeyId=key)["Grants"] == []


def test_chance(kms: Kms) -> None:
    assert len(kms.root.generate_random(NumberOfBytes=44)["Plaintext"]) == 44
    assert refusal(kms.root.generate_random) == ("ValidationException", "NumberOfBytes is required.")


def test_what_is_not_built_names_itself(kms: Kms) -> None:
    for said in (
        {"MultiRegion": True},
        {"Origin": "EXTERNAL"},
        {"CustomKeyStoreId": "cks-1"},
        {"KeySpec": "ML_DSA_44", "KeyUsage": "SIGN_VERIFY"},
    ):
        assert refusal(kms.root.create_key, **said)[0] == "NotImplementedException"
