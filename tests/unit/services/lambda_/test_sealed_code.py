"""Archives under a key of the user's: they lie encrypted, and are opened by whom the key lets."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.services.lambda_.lambda_harness import ACCOUNT, REGION, Lambda, archive, arn, digest, refusal
from tests.unit.services.lambda_.test_sealing import user

from havre.apps import functions
from havre.apps.code_downloads import Downloads
from havre.apps.node_functions import FunctionSources
from havre.control.functions import questions
from havre.kernel.errors import Gone, Permanent
from havre.kernel.function import Code
from havre.services import kms
from havre.services.lambda_.reconcile.code import used_digests
from havre.services.lambda_.resources import FUNCTION

WORDS = "secret-words-of-the-code"


def policy(*statements: dict[str, Any]) -> str:
    own = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "kms:*", "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [own, *statements]})


LET = {
    "Effect": "Allow",
    "Principal": {"Service": "lambda.amazonaws.com"},
    "Action": ["kms:GenerateDataKey", "kms:Decrypt"],
    "Resource": "*",
    "Condition": {"StringLike": {"kms:EncryptionContext:aws:lambda:FunctionArn": arn("function:*")}},
}


@pytest.fixture
def lambdas() -> Iterator[Lambda]:
    holder: list[Downloads] = []

    async def page(scope: Any, receive: Any, send: Any) -> None:
        await holder[0](scope, receive, send)

    besides = (kms.service(kms.Vault(b"\x07" * 32)),)
    found = Lambda(besides, {"kms": kms.resource_policy}, internal={"/_havre/functions": page})
    holder.append(Downloads(found.facilities, found.running.world.now))
    yield found
    found.close()


@pytest.fixture
def key(lambdas: Lambda) -> str:
    made: str = lambdas.running.client("kms").create_key(Policy=policy(LET))["KeyMetadata"]["Arn"]
    return made


def written(text: str) -> bytes:
    return archive({"app.py": f"# {text}"})


def code_of(lambdas: Lambda) -> Code:
    record = lambdas.running.store.get(FUNCTION, ACCOUNT, REGION, "one")
    assert record is not None
    return record.spec.config.code


class Hub:
    """A node was given everything that there is."""

    def runs_code(self, node: str, sealed: str) -> bool:
        return node == "mine"


class Link:
    """From a node to the server."""

    def __init__(self, lambdas: Lambda, node: str = "mine") -> None:
        self._lambdas, self._node = lambdas, node

    async def ask(self, what: str, question: str) -> Any:
        nodes = functions.Nodes(self._lambdas.deps, Hub(), directory(self._lambdas))  # type: ignore[arg-type]
        return await functions.answer(nodes, self._node, what, question)


def directory(lambdas: Lambda) -> Path:
    return lambdas.code._directory


def opened(lambdas: Lambda) -> bytes:
    """As a node gets it."""
    sources = FunctionSources(directory(lambdas), Link(lambdas))  # type: ignore[arg-type]
    path = lambdas.running.wait(sources.archive(code_of(lambdas)))
    data: bytes = path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    path.unlink()
    return data


def create(lambdas: Lambda, key: str, **more: Any) -> Any:
    return lambdas.create(Code={"ZipFile": written(WORDS), "SourceKMSKeyArn": key}, **more)


def test_it_lies_encrypted_and_nodes_get_it_by_the_keys_policy(lambdas: Lambda, key: str) -> None:
    made = create(lambdas, key)
    assert base64.b64decode(made["CodeSha256"]).hex() == digest(written(WORDS)), "that of the archive"
    files = [path.read_bytes() for path in directory(lambdas).iterdir()]
    assert len(files) == 1 and WORDS.encode() not in files[0] and b"PK" not in files[0][:4]
    assert opened(lambdas) == written(WORDS)
    assert used_digests(lambdas.running.store) == {code_of(lambdas).sealed}, "the sweep leaves it alone"
    assert [path.name for path in directory(lambdas).iterdir()] == [code_of(lambdas).sealed]


def test_who_may_decrypt_downloads_it(lambdas: Lambda, key: str) -> None:
    create(lambdas, key)
    told = lambdas.client.get_function(FunctionName="one")["Code"]
    assert (told["SourceKMSKeyArn"], told["RepositoryType"]) == (key, "S3")
    own = told["Location"].replace(f":{lambdas.running.gateway.parts.site.port}/", f":{lambdas.running.port}/")
    assert urllib.request.urlopen(own).read() == written(WORDS)
    for wrong in (own[:-1] + ("0" if own[-1] != "0" else "1"), own + "zz"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(wrong)
        assert caught.value.code == 403
    bare = own.partition("&Key=")[0]
    assert WORDS.encode() not in urllib.request.urlopen(bare).read(), (
        "a link without the key gives what nobody can read"
    )


def test_who_may_not_is_told_so(lambdas: Lambda, key: str) -> None:
    create(lambdas, key)
    told = user(lambdas, "reader", "lambda:*").get_function(FunctionName="one")["Code"]
    assert told["Error"]["ErrorCode"] == "AccessDeniedException" and "Location" not in told
    reader = user(lambdas, "other", "lambda:*", "iam:PassRole")
    given = {"FunctionName": "one", "ZipFile": written("new"), "SourceKMSKeyArn": key}
    assert refusal(reader.update_function_code, **given)[0] == "AccessDeniedException"


def test_a_key_that_does_not_let_lambda_changes_nothing(lambdas: Lambda) -> None:
    closed = lambdas.running.client("kms").create_key()["KeyMetadata"]["Arn"]
    code, message = refusal(create, lambdas=lambdas, key=closed)
    assert code == "AccessDeniedException" and "unable to encrypt your deployment package" in message
    signing = lambdas.running.client("kms").create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    assert refusal(create, lambdas=lambdas, key=signing)[0] == "InvalidParameterValueException"
    nobody = closed[:-12] + "0" * 12
    assert refusal(create, lambdas=lambdas, key=nobody)[0] == "InvalidParameterValueException"
    assert not lambdas.client.list_functions()["Functions"]


def test_a_closed_key_and_other_nodes_open_nothing(lambdas: Lambda, key: str) -> None:
    create(lambdas, key)
    lambdas.running.client("kms").disable_key(KeyId=key)
    with pytest.raises(Permanent, match=r"^KMSDisabledException: Lambda was unable to decrypt the deployment package"):
        opened(lambdas)
    lambdas.running.client("kms").enable_key(KeyId=key)
    with pytest.raises(Gone):
        lambdas.running.wait(Link(lambdas, "another").ask(questions.CODE, code_of(lambdas).sealed))


def test_versions_keep_it_and_an_update_without_a_key_ends_it(lambdas: Lambda, key: str) -> None:
    create(lambdas, key, Publish=True)
    lambdas.client.update_function_code(FunctionName="one", ZipFile=written("plain"))
    lambdas.reconcile()
    assert not code_of(lambdas).sealed
    assert "SourceKMSKeyArn" not in lambdas.client.get_function(FunctionName="one")["Code"]
    assert lambdas.client.get_function(FunctionName="one", Qualifier="1")["Code"]["SourceKMSKeyArn"] == key
    given = {"FunctionName": "one", "ZipFile": written("again"), "SourceKMSKeyArn": key}
    lambdas.client.update_function_code(**given)
    lambdas.reconcile()
    assert opened(lambdas) == written("again")


def test_what_was_changed_on_disk_is_not_run(lambdas: Lambda, key: str) -> None:
    create(lambdas, key)
    path = directory(lambdas) / code_of(lambdas).sealed
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(Permanent, match="cannot be opened"):
        opened(lambdas)
