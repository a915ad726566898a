"""Secure strings and secrets: encrypted where moto keeps them, opened for who has the key."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.lending import Lent
from tests.running_gateway import code

SECRET = "the-word-that-nobody-finds"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(tmp_path_factory.mktemp("borrowed"))


@pytest.fixture(scope="module")
def lent(folder: Path) -> Iterator[Lent]:
    found = Lent(folder)
    yield found
    found.close()


def on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("*") if path.is_file())


def user(lent: Lent, name: str, *actions: str) -> Any:
    iam = lent.client("iam")
    iam.create_user(UserName=name)
    statement = {"Effect": "Allow", "Action": ["ssm:*", "secretsmanager:*", *actions], "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)
    return iam.create_access_key(UserName=name)["AccessKey"]


def key(lent: Lent) -> str:
    made: str = lent.client("kms").create_key()["KeyMetadata"]["Arn"]
    return made


# Parameters


def test_a_secure_string_lies_encrypted(lent: Lent, folder: Path) -> None:
    ssm = lent.client("ssm")
    ssm.put_parameter(Name="/plain", Value=f"{SECRET}-plain", Type="String")
    ssm.put_parameter(Name="/secure", Value=f"{SECRET}-secure", Type="SecureString")
    written = on_disk(folder)
    assert f"{SECRET}-plain".encode() in written and f"{SECRET}-secure".encode() not in written
    given = {"Name": "/secure", "WithDecryption": True}
    assert ssm.get_parameter(**given)["Parameter"]["Value"] == f"{SECRET}-secure"
    assert ssm.get_parameters(Names=["/secure"], WithDecryption=True)["Parameters"][0]["Value"] == f"{SECRET}-secure"
    found = ssm.get_parameters_by_path(Path="/", WithDecryption=True)["Parameters"]
    assert {p["Name"]: p["Value"] for p in found}["/secure"] == f"{SECRET}-secure"
    assert ssm.get_parameter_history(**given)["Parameters"][0]["Value"] == f"{SECRET}-secure"
    # without decryption it is ciphertext
    shown = ssm.get_parameter(Name="/secure")["Parameter"]["Value"]
    assert SECRET not in shown and SECRET.encode() not in base64.b64decode(shown)


def test_overwriting_keeps_the_type(lent: Lent, folder: Path) -> None:
    ssm = lent.client("ssm")
    own = key(lent)
    ssm.put_parameter(Name="/again", Value="one", Type="SecureString", KeyId=own)
    ssm.put_parameter(Name="/again", Value=f"{SECRET}-again", Overwrite=True)
    assert f"{SECRET}-again".encode() not in on_disk(folder)
    assert ssm.get_parameter(Name="/again", WithDecryption=True)["Parameter"]["Value"] == f"{SECRET}-again"
    filters = [{"Key": "Name", "Values": ["/again"]}]
    assert ssm.describe_parameters(ParameterFilters=filters)["Parameters"][0]["KeyId"] == own


def test_large_secure_strings(lent: Lent) -> None:
    ssm = lent.client("ssm")
    value = SECRET * 250  # more than a key encrypts by itself
    ssm.put_parameter(Name="/large", Value=value, Type="SecureString", Tier="Advanced")
    assert ssm.get_parameter(Name="/large", WithDecryption=True)["Parameter"]["Value"] == value


def test_who_puts_and_who_gets_a_parameter_needs_the_key(lent: Lent) -> None:
    own, root = key(lent), lent.client("ssm")
    root.put_parameter(Name="/keyed", Value="v", Type="SecureString", KeyId=own)
    root.put_parameter(Name="/common", Value="v", Type="SecureString")
    ssm = lent.client("ssm", user(lent, "reads-parameters"))
    assert code(ssm.get_parameter, Name="/keyed", WithDecryption=True) == "AccessDeniedException"
    assert "Value" in ssm.get_parameter(Name="/keyed")["Parameter"]
    put = {"Value": "w", "Type": "SecureString", "KeyId": own}
    assert code(ssm.put_parameter, Name="/other", **put) == "AccessDeniedException"
    assert code(ssm.get_parameter, Name="/other") == "ParameterNotFound"
    # the account's key is everybody's in the account, by way of the service
    assert ssm.get_parameter(Name="/common", WithDecryption=True)["Parameter"]["Value"] == "v"
    able = lent.client("ssm", user(lent, "opens-parameters", "kms:Decrypt"))
    assert able.get_parameter(Name="/keyed", WithDecryption=True)["Parameter"]["Value"] == "v"


def test_keys_of_parameters_that_do_nothing(lent: Lent) -> None:
    own, ssm = key(lent), lent.client("ssm")
    ssm.put_parameter(Name="/disabled", Value="v", Type="SecureString", KeyId=own)
    lent.client("kms").disable_key(KeyId=own)
    assert code(ssm.get_parameter, Name="/disabled", WithDecryption=True) == "InvalidKeyId"
    put = {"Name": "/x", "Value": "v", "Type": "SecureString"}
    assert code(ssm.put_parameter, KeyId="alias/nothing", **put) == "InvalidKeyId"


# Secrets


def test_a_secret_lies_encrypted(lent: Lent, folder: Path) -> None:
    secrets = lent.client("secretsmanager")
    secrets.create_secret(Name="text", SecretString=f"{SECRET}-text")
    secrets.create_secret(Name="bytes", SecretBinary=f"{SECRET}-bytes".encode())
    secrets.put_secret_value(SecretId="text", SecretString=f"{SECRET}-two")
    secrets.update_secret(SecretId="text", SecretString=f"{SECRET}-three", Description="d")
    written = on_disk(folder)
    for name in ("text", "bytes", "two", "three"):
        assert f"{SECRET}-{name}".encode() not in written
        assert base64.b64encode(f"{SECRET}-{name}".encode()) not in written
    assert secrets.get_secret_value(SecretId="text")["SecretString"] == f"{SECRET}-three"
    assert secrets.get_secret_value(SecretId="bytes")["SecretBinary"] == f"{SECRET}-bytes".encode()
    before = secrets.get_secret_value(SecretId="text", VersionStage="AWSPREVIOUS")
    assert before["SecretString"] == f"{SECRET}-two"
    many = secrets.batch_get_secret_value(SecretIdList=["text", "bytes"])["SecretValues"]
    assert {each.get("SecretString") or each["SecretBinary"].decode() for each in many} == {
        f"{SECRET}-three",
        f"{SECRET}-bytes",
    }


def test_largest_secrets(lent: Lent) -> None:
    secrets = lent.client("secretsmanager")
    secrets.create_secret(Name="largest", SecretString="x" * 65_536)
    assert secrets.get_secret_value(SecretId="largest")["SecretString"] == "x" * 65_536


def test_what_is_asked_again_makes_no_other_version(lent: Lent) -> None:
    secrets = lent.client("secretsmanager")
    token = "a" * 32
    first = secrets.create_secret(Name="again", SecretString="one", ClientRequestToken=token)
    assert secrets.create_secret(Name="again", SecretString="one", ClientRequestToken=token)["ARN"] == first["ARN"]
    for _ in range(2):
        secrets.put_secret_value(SecretId="again", SecretString="two", ClientRequestToken="b" * 32)
    assert len(secrets.list_secret_version_ids(SecretId="again")["Versions"]) == 2
    other = {"SecretId": "again", "SecretString": "three", "ClientRequestToken": "b" * 32}
    assert code(secrets.put_secret_value, **other) == "ResourceExistsException"
    assert secrets.get_secret_value(SecretId="again")["SecretString"] == "two"


def test_who_reads_a_secret_needs_the_key(lent: Lent) -> None:
    own, root = key(lent), lent.client("secretsmanager")
    root.create_secret(Name="keyed", SecretString="v", KmsKeyId=own)
    root.create_secret(Name="common", SecretString="v")
    assert root.describe_secret(SecretId="keyed")["KmsKeyId"] == own
    secrets = lent.client("secretsmanager", user(lent, "reads-secrets"))
    with pytest.raises(ClientError, match="Access to KMS is not allowed"):
        secrets.get_secret_value(SecretId="keyed")
    assert secrets.get_secret_value(SecretId="common")["SecretString"] == "v"
    told = secrets.batch_get_secret_value(SecretIdList=["keyed", "common"])
    assert [each["Name"] for each in told["SecretValues"]] == ["common"]
    assert [each["ErrorCode"] for each in told["Errors"]] == ["AccessDeniedException"]
    assert code(secrets.put_secret_value, SecretId="keyed", SecretString="w") == "AccessDeniedException"
    assert root.get_secret_value(SecretId="keyed")["SecretString"] == "v"
    able = lent.client("secretsmanager", user(lent, "opens-secrets", "kms:Decrypt"))
    assert able.get_secret_value(SecretId="keyed")["SecretString"] == "v"


def test_keys_of_secrets_that_do_nothing(lent: Lent) -> None:
    own, secrets = key(lent), lent.client("secretsmanager")
    secrets.create_secret(Name="shut", SecretString="v", KmsKeyId=own)
    lent.client("kms").disable_key(KeyId=own)
    assert code(secrets.get_secret_value, SecretId="shut") == "DecryptionFailure"
    assert code(secrets.put_secret_value, SecretId="shut", SecretString="w") == "EncryptionFailure"
    made = {"Name": "never", "SecretString": "v", "KmsKeyId": "alias/nothing"}
    assert code(secrets.create_secret, **made) == "EncryptionFailure"
    assert code(secrets.describe_secret, SecretId="never") == "ResourceNotFoundException"


def test_they_open_after_a_death(lent: Lent) -> None:
    lent.client("ssm").put_parameter(Name="/kept", Value=SECRET, Type="SecureString")
    lent.client("secretsmanager").create_secret(Name="kept", SecretString=SECRET)
    lent.kill()
    assert lent.client("ssm").get_parameter(Name="/kept", WithDecryption=True)["Parameter"]["Value"] == SECRET
    assert lent.client("secretsmanager").get_secret_value(SecretId="kept")["SecretString"] == SECRET
