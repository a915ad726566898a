"""Environment variables under a key of the user's: kept encrypted, opened by whom the key lets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.unit.services.lambda_.lambda_harness import ACCOUNT, REGION, Lambda, archive, arn, refusal

from havre.control.operation import Aws
from havre.kernel.errors import Permanent
from havre.services import kms
from havre.services.lambda_ import compile, sealing
from havre.services.lambda_.invoking import refusals
from havre.services.lambda_.resources import FUNCTION, VERSION, qualified

GIVEN = {"Variables": {"PASSWORD": "hunter2-hunter2", "MODE": "test"}}


@pytest.fixture
def lambdas() -> Iterator[Lambda]:
    found = Lambda((kms.service(kms.Vault(b"\x07" * 32)),), {"kms": kms.resource_policy})
    yield found
    found.close()


@pytest.fixture
def key(lambdas: Lambda) -> str:
    made: str = lambdas.running.client("kms").create_key()["KeyMetadata"]["Arn"]
    return made


def user(lambdas: Lambda, name: str, *actions: str) -> Any:
    """Credentials of a user who may do these things."""
    lambdas.iam.create_user(UserName=name)
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    lambdas.iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)
    return lambdas.running.client("lambda", lambdas.iam.create_access_key(UserName=name)["AccessKey"])


def as_role(lambdas: Lambda) -> Aws:
    sts = lambdas.running.gateway.as_service("lambda.amazonaws.com", ACCOUNT, REGION)
    asked = {"RoleArn": lambdas.role, "RoleSessionName": "one"}
    keys = lambdas.running.wait(sts("sts", "AssumeRole", asked))["Credentials"]
    known = lambdas.running.directory.credential(keys["AccessKeyId"], keys["SessionToken"])
    assert known is not None
    return lambdas.running.gateway.local(known.principal, ACCOUNT, REGION)


def opened(lambdas: Lambda, name: str = "one") -> dict[str, str]:
    """What an environment of ``$LATEST`` would get."""
    record = lambdas.running.store.get(FUNCTION, ACCOUNT, REGION, name)
    assert record is not None
    function = compile.wanted_of(record)
    assert not function.environment and function.sealed
    return dict(lambdas.running.wait(sealing.open_for(lambdas.running.store, function, as_role(lambdas))))


def test_they_lie_encrypted_and_are_opened_by_the_role(lambdas: Lambda, key: str) -> None:
    made = lambdas.create(KMSKeyArn=key, Environment=GIVEN)
    assert (made["KMSKeyArn"], made["Environment"]) == (key, GIVEN)
    record = lambdas.running.store.get(FUNCTION, ACCOUNT, REGION, "one")
    assert record is not None and "hunter2" not in repr(record.spec) and "hunter2" not in repr(record.status)
    assert lambdas.get()["Environment"] == GIVEN
    assert opened(lambdas) == GIVEN["Variables"]  # by its grant: the role has no policy
    assert [
        (g["GranteePrincipal"], g["Operations"]) for g in lambdas.running.client("kms").list_grants(KeyId=key)["Grants"]
    ] == [(lambdas.role, ["Decrypt", "RetireGrant"])]
    listed = lambdas.client.list_functions()["Functions"]
    assert listed[0]["Environment"] == GIVEN


def test_versions_have_those_that_they_were_published_with(lambdas: Lambda, key: str) -> None:
    lambdas.create(KMSKeyArn=key, Environment=GIVEN, Publish=True)
    lambdas.client.update_function_configuration(FunctionName="one", Environment={"Variables": {"MODE": "new"}})
    lambdas.reconcile()
    assert opened(lambdas) == {"MODE": "new"}
    version = lambdas.running.store.get(VERSION, ACCOUNT, REGION, qualified("one", "1"))
    assert version is not None
    function = compile.function_of(version) or compile.wanted_of(version)
    assert (
        dict(lambdas.running.wait(sealing.open_for(lambdas.running.store, function, as_role(lambdas))))
        == GIVEN["Variables"]
    )
    assert lambdas.get(Qualifier="1")["Environment"] == GIVEN
    assert len(lambdas.running.client("kms").list_grants(KeyId=key)["Grants"]) == 1


def test_other_changes_leave_them_as_they_are(lambdas: Lambda, key: str) -> None:
    lambdas.create(KMSKeyArn=key, Environment=GIVEN)
    lambdas.client.update_function_configuration(FunctionName="one", MemorySize=256)
    lambdas.reconcile()
    lambdas.client.update_function_code(FunctionName="one", ZipFile=archive({"app.py": "def handler(e, c): return 2"}))
    lambdas.reconcile()
    assert lambdas.get()["Environment"] == GIVEN and opened(lambdas) == GIVEN["Variables"]


def test_another_key_and_none(lambdas: Lambda, key: str) -> None:
    lambdas.create(Environment=GIVEN)
    change = lambdas.client.update_function_configuration
    assert change(FunctionName="one", KMSKeyArn=key)["Environment"] == GIVEN
    lambdas.reconcile()
    other = lambdas.running.client("kms").create_key()["KeyMetadata"]["Arn"]
    change(FunctionName="one", KMSKeyArn=other)
    lambdas.reconcile()
    lambdas.running.client("kms").disable_key(KeyId=key)
    assert opened(lambdas) == GIVEN["Variables"]
    told = change(FunctionName="one", KMSKeyArn="")
    lambdas.reconcile()
    assert "KMSKeyArn" not in told and told["Environment"] == GIVEN
    lambdas.running.client("kms").disable_key(KeyId=other)
    assert lambdas.get()["Environment"] == GIVEN


def test_a_new_role_is_let_in(lambdas: Lambda, key: str) -> None:
    lambdas.create(KMSKeyArn=key, Environment=GIVEN)
    lambdas.role = lambdas.make_role("another")
    lambdas.client.update_function_configuration(FunctionName="one", Role=lambdas.role)
    lambdas.reconcile()
    assert opened(lambdas) == GIVEN["Variables"]


def test_who_may_not_decrypt_is_told_so(lambdas: Lambda, key: str) -> None:
    lambdas.create(KMSKeyArn=key, Environment=GIVEN)
    told = user(lambdas, "reader", "lambda:*").get_function_configuration(FunctionName="one")
    assert told["KMSKeyArn"] == key and "Variables" not in told["Environment"]
    assert told["Environment"]["Error"]["ErrorCode"] == "AccessDeniedException"
    assert "kms:Decrypt" in told["Environment"]["Error"]["Message"]
    assert (
        user(lambdas, "opener", "lambda:*", "kms:Decrypt").get_function(FunctionName="one")["Configuration"][
            "Environment"
        ]
        == GIVEN
    )


def test_who_sets_them_needs_the_key(lambdas: Lambda, key: str) -> None:
    given = {"Runtime": "python3.12", "Handler": "app.handler", "Role": lambdas.role, "Code": {"ZipFile": archive()}}
    for name, actions, allowed in (
        ("nothing", (), False),
        ("encrypts", ("kms:Encrypt",), False),
        ("grants", ("kms:Encrypt", "kms:CreateGrant"), True),
    ):
        client = user(lambdas, name, "lambda:*", "iam:PassRole", *actions)
        code, message = refusal(client.create_function, FunctionName=name, KMSKeyArn=key, Environment=GIVEN, **given)
        assert code == ("no error" if allowed else "AccessDeniedException"), message
        assert (lambdas.running.store.get(FUNCTION, ACCOUNT, REGION, name) is not None) is allowed


def test_a_key_that_is_not_there_or_does_nothing(lambdas: Lambda, key: str) -> None:
    missing = key[:-12] + "0" * 12
    code, message = refusal(lambdas.create, KMSKeyArn=missing, Environment=GIVEN)
    assert code == "InvalidParameterValueException" and "KMS Exception: NotFoundException" in message
    lambdas.running.client("kms").disable_key(KeyId=key)
    code, message = refusal(lambdas.create, KMSKeyArn=key, Environment=GIVEN)
    assert code == "InvalidParameterValueException" and "KMS Exception: DisabledException" in message
    assert lambdas.client.list_functions()["Functions"] == []


def test_environments_do_not_begin_without_the_key(lambdas: Lambda, key: str) -> None:
    lambdas.create(KMSKeyArn=key, Environment=GIVEN)
    own = lambdas.running.client("kms")
    own.disable_key(KeyId=key)
    with pytest.raises(Permanent) as refused:
        opened(lambdas)
    error = refusals.cannot_run(refused.value.reason)
    assert error.code == "KMSDisabledException"
    assert error.message == (
        "Lambda was unable to decrypt the environment variables because the KMS key used is disabled. Please check the "
        f"function's KMS key settings. KMS Exception: DisabledExceptionKMS Message: {key} is disabled."
    )
    own.enable_key(KeyId=key)
    own.schedule_key_deletion(KeyId=key)
    with pytest.raises(Permanent, match=r"^KMSInvalidStateException: "):
        opened(lambdas)
    own.cancel_key_deletion(KeyId=key)
    own.enable_key(KeyId=key)
    for grant in own.list_grants(KeyId=key)["Grants"]:
        own.revoke_grant(KeyId=key, GrantId=grant["GrantId"])
    with pytest.raises(Permanent, match=r"^KMSAccessDeniedException: "):
        opened(lambdas)


def test_variables_of_one_function_are_not_those_of_another(lambdas: Lambda, key: str) -> None:
    """Ciphertext that was carried to another function's record opens for nobody."""
    lambdas.create("one", KMSKeyArn=key, Environment=GIVEN)
    lambdas.create("other", KMSKeyArn=key, Environment={"Variables": {}})
    one = lambdas.running.store.get(FUNCTION, ACCOUNT, REGION, "one")
    assert one is not None
    aws = lambdas.running.gateway.as_service("lambda.amazonaws.com", ACCOUNT, REGION)
    assert lambdas.running.wait(sealing._open(aws, one.spec.config.sealed, arn("function:one"))) == GIVEN["Variables"]
    with pytest.raises(Exception, match="InvalidCiphertextException"):
        lambdas.running.wait(sealing._open(aws, one.spec.config.sealed, arn("function:other")))


def test_without_a_key_nothing_is_different(lambdas: Lambda) -> None:
    made = lambdas.create(Environment=GIVEN)
    assert made["Environment"] == GIVEN and "KMSKeyArn" not in made
    record = lambdas.running.store.get(FUNCTION, ACCOUNT, REGION, "one")
    assert record is not None and compile.wanted_of(record).environment == GIVEN["Variables"]
    assert not compile.wanted_of(record).sealed
