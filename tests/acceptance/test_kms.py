"""Keys as users use them, through a death of the server."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.acceptance.conftest import Starter, alive, eventually, kill
from tests.acceptance.lambda_world import World, document, need_runtime, packed


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


CODE = """
import os

def handler(event, context):
    return os.environ["PASSWORD"]
"""


def refused(call: Any, **given: Any) -> str:
    try:
        call(**given)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


@pytest.mark.root
@pytest.mark.timeout(600)
def test_a_function_with_variables_under_a_key(havre: Starter) -> None:
    need_runtime()
    instance = havre()
    world = World(instance)
    kms, functions = world.client("kms"), world.client("lambda")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    secret = "the-password-that-nobody-finds"
    world.function("sealed", CODE, KMSKeyArn=key, Environment={"Variables": {"PASSWORD": secret}})
    assert world.invoke("sealed")[0] == secret
    plain = "what-anybody-finds"
    world.function("plain", CODE, Environment={"Variables": {"PASSWORD": plain}})
    # environments that are there go on; those that begin need the key
    kms.disable_key(KeyId=key)
    assert world.invoke("sealed")[0] == secret
    functions.update_function_configuration(FunctionName="sealed", MemorySize=256)
    functions.get_waiter("function_updated_v2").wait(FunctionName="sealed")
    assert refused(functions.invoke, FunctionName="sealed") == "KMSDisabledException"
    assert "Error" in functions.get_function_configuration(FunctionName="sealed")["Environment"]
    kms.enable_key(KeyId=key)
    assert world.invoke("sealed")[0] == secret
    run = instance.run_file
    for victim in (run["supervisor"][0], run["pids"]["server"]):
        kill(victim)
        eventually(lambda pid=victim: not alive(pid))
    files = [path for path in instance.state.rglob("store.db*") if path.is_file()]
    assert any(plain.encode() in path.read_bytes() for path in files)
    assert not any(secret.encode() in path.read_bytes() for path in instance.state.rglob("*.db*"))
    again = havre(port=instance.port)
    answer = again.client("lambda").invoke(FunctionName="sealed", Payload=b"null")
    assert json.loads(answer["Payload"].read()) == secret
    _an_archive_under_a_key(world)


def _an_archive_under_a_key(world: World) -> None:
    """It runs, and is found nowhere but where it was unpacked to run."""
    kms, functions = world.client("kms"), world.client("lambda")
    own = {"Effect": "Allow", "Principal": {"AWS": "000000000000"}, "Action": "kms:*", "Resource": "*"}
    service = {"Principal": {"Service": "lambda.amazonaws.com"}, "Action": ["kms:GenerateDataKey", "kms:Decrypt"]}
    policy = document({"Statement": [own, {"Effect": "Allow", "Resource": "*", **service}]})
    key = kms.create_key(Policy=policy)["KeyMetadata"]["Arn"]
    words = "the-words-of-the-code-that-nobody-finds"
    archive = packed(f"def handler(event, context):\n    return {words!r}\n")
    given = {"Runtime": "python3.11", "Handler": "app.handler", "Role": world.role}
    functions.create_function(FunctionName="code", Code={"ZipFile": archive, "SourceKMSKeyArn": key}, **given)
    functions.get_waiter("function_active_v2").wait(FunctionName="code", WaiterConfig={"Delay": 0.2})
    assert world.invoke("code")[0] == words
    told = functions.get_function(FunctionName="code")["Code"]
    with urllib.request.urlopen(told["Location"]) as answer:
        assert answer.read() == archive
    kept = [path for path in (world.instance.state / "functions").iterdir() if path.is_file()]
    assert kept and not any(words.encode() in path.read_bytes() for path in kept)
