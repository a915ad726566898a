"""Keys as users use them, through a death of the server."""

from __future__ import annotations

from tests.acceptance.conftest import Starter, alive, eventually, kill


def test_keys_survive_kill_9(havre: Starter) -> None:
    instance = havre()
    kms = instance.client("kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    signing = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    kms.create_alias(AliasName="alias/kept", TargetKeyId=key)
    data = kms.generate_data_key(KeyId="alias/kept", KeySpec="AES_256", EncryptionContext={"a": "b"})
    how = {"KeyId": signing, "Message": b"message", "SigningAlgorithm": "ECDSA_SHA_256"}
    signature = kms.sign(**how)["Signature"]
    kms.rotate_key_on_demand(KeyId=key)
    run = instance.run_file
    for victim in (run["supervisor"][0], run["pids"]["server"]):
        kill(victim)
        eventually(lambda pid=victim: not alive(pid))
    kms = havre(port=instance.port).client("kms")
    found = kms.decrypt(CiphertextBlob=data["CiphertextBlob"], EncryptionContext={"a": "b"})
    assert (found["Plaintext"], found["KeyId"]) == (data["Plaintext"], key)
    assert kms.verify(Signature=signature, **how)["SignatureValid"]
    assert kms.describe_key(KeyId="alias/kept")["KeyMetadata"]["Arn"] == key
