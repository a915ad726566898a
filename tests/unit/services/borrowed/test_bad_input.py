"""Requests that moto would fail at are refused as AWS refuses them, and leave nothing that it would fail at later."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.lending import Lent
from tests.running_gateway import code


@pytest.fixture(scope="module")
def lent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lent]:
    found = Lent(tmp_path_factory.mktemp("borrowed"))
    yield found
    found.close()


def test_secrets_that_are_not_there(lent: Lent) -> None:
    secrets = lent.client("secretsmanager")
    tag = [{"Key": "a", "Value": "b"}]
    assert code(secrets.list_secret_version_ids, SecretId="nothing") == "ResourceNotFoundException"
    assert code(secrets.tag_resource, SecretId="nothing", Tags=tag) == "ResourceNotFoundException"
    assert code(secrets.untag_resource, SecretId="nothing", TagKeys=["a"]) == "ResourceNotFoundException"
    assert code(secrets.update_secret, SecretId="nothing", SecretString="x") == "ResourceNotFoundException"


def test_a_tag_without_a_key_is_not_kept(lent: Lent) -> None:
    secrets = lent.client("secretsmanager")
    assert code(secrets.create_secret, Name="s", SecretString="x", Tags=[{"Value": "v"}]) == "InvalidParameterException"
    secrets.create_secret(Name="s", SecretString="x", Tags=[{"Key": "k"}])
    assert code(secrets.tag_resource, SecretId="s", Tags=[{}]) == "InvalidParameterException"
    assert [s["Name"] for s in secrets.list_secrets()["SecretList"]] == ["s"]


def test_tokens_that_nobody_gave(lent: Lent) -> None:
    secrets, ssm = lent.client("secretsmanager"), lent.client("ssm")
    assert code(secrets.list_secrets, NextToken="x") == "InvalidNextTokenException"
    assert code(ssm.describe_parameters, NextToken="x") == "InvalidNextToken"
    assert code(ssm.get_parameters_by_path, Path="/", NextToken="x") == "InvalidNextToken"
    assert code(lent.client("kinesis").get_records, ShardIterator="x") == "InvalidArgumentException"
