"""What is refused, with the code and in the words in which AWS refuses it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.unit.services.lambda_.lambda_harness import Lambda, archive, arn, refusal

from havre.services.lambda_.rules import runtimes

INVALID, MISSING, MALFORMED = "InvalidParameterValueException", "ResourceNotFoundException", "ValidationException"
NO_RESOURCE = "The resource you requested does not exist."
NO_POLICY = "No policy is associated with the given resource."
ONE = {"FunctionName": "one"}


@pytest.fixture(scope="module")
def furnished() -> Iterator[Lambda]:
    """A function ``one`` with version 1 and alias ``live``, and a layer ``lib``: for tests of what is refused."""
    made = Lambda()
    made.create(Publish=True)
    made.client.create_alias(**ONE, Name="live", FunctionVersion="1")
    made.client.publish_layer_version(LayerName="lib", Content={"ZipFile": archive()})
    yield made
    made.close()


def absent(name: str) -> str:
    return f"Function not found: {arn(f'function:{name}')}"


def no_alias(name: str) -> str:
    return f"Cannot find alias arn: {arn(f'function:{name}')}"


def broken(value: str, member: str, constraint: str) -> str:
    return f"1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {constraint}"


@pytest.mark.parametrize(
    ("operation", "given", "code", "message"),
    [
        ("get_policy", {"FunctionName": "two"}, MISSING, absent("two")),
        ("get_policy", ONE, MISSING, NO_RESOURCE),
        ("get_policy", {**ONE, "Qualifier": "7"}, MISSING, NO_RESOURCE),
        ("get_policy", {**ONE, "Qualifier": "none"}, MISSING, NO_RESOURCE),
        ("remove_permission", {**ONE, "StatementId": "s"}, MISSING, NO_POLICY),
        ("remove_permission", {**ONE, "StatementId": "s", "Qualifier": "none"}, MISSING, no_alias("one:none")),
        ("remove_permission", {"FunctionName": "two", "StatementId": "s"}, MISSING,
         f"No policy found for: {arn('function:two')}"),
        ("put_function_concurrency", {"FunctionName": "two", "ReservedConcurrentExecutions": 1}, MISSING,
         absent("two:$LATEST")),
        ("get_function_concurrency", {"FunctionName": "two"}, MISSING, absent("two")),
        ("get_provisioned_concurrency_config", {"FunctionName": "two", "Qualifier": "none"}, MISSING,
         no_alias("two:none")),
        ("delete_provisioned_concurrency_config", {"FunctionName": "two", "Qualifier": "1"}, MISSING, absent("two:1")),
        ("put_provisioned_concurrency_config",
         {"FunctionName": "two", "Qualifier": "none", "ProvisionedConcurrentExecutions": 1}, MISSING,
         no_alias("two:none")),
        ("put_provisioned_concurrency_config", {**ONE, "Qualifier": "$LATEST", "ProvisionedConcurrentExecutions": 1},
         INVALID, "Provisioned Concurrency Configs cannot be applied to unpublished function versions."),
        ("get_provisioned_concurrency_config", {**ONE, "Qualifier": "$LATEST"}, INVALID,
         "The function resource provided must be an alias or a published version."),
        ("list_layers", {"CompatibleRuntime": "cobol"}, MALFORMED,
         broken("cobol", "compatibleRuntime",
                f"Member must satisfy enum value set: [{', '.join((*runtimes.SUPPORTED, *runtimes.RETIRED))}]")),
        ("publish_layer_version",
         {"LayerName": "l", "Content": {"ZipFile": b"x"}, "CompatibleRuntimes": ["cobol", "python3.13"]}, MALFORMED,
         broken("[cobol, python3.13]", "compatibleRuntimes",
                f"Member must satisfy enum value set: [{', '.join(runtimes.SUPPORTED)}]")),
        ("update_function_configuration", {**ONE, "Layers": [arn("layer:lib")]}, MALFORMED, None),
        ("create_alias", {**ONE, "Name": "2026", "FunctionVersion": "1"}, MALFORMED,
         broken("2026", "name", "Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)")),
    ],
)  # fmt: skip
def test_aws_words_are_kept(furnished: Lambda, operation: str, given: Any, code: str, message: str | None) -> None:
    told = refusal(getattr(furnished.client, operation), **given)
    assert told == (code, message if message is not None else told[1])


def test_nothing_is_told_of_what_is_not_there_where_aws_tells_nothing(furnished: Lambda) -> None:
    client = furnished.client
    assert "FunctionName" not in client.get_function_code_signing_config(**ONE)
    assert client.delete_function(**ONE, Qualifier="7")["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert client.list_versions_by_function(**ONE)["Versions"][-1]["Version"] == "1"
    assert refusal(client.delete_function, FunctionName="two", Qualifier="7") == (MISSING, absent("two"))


@pytest.mark.parametrize("given", [None, [], ["x86_64"]])
def test_a_layer_tells_what_it_is_for_as_it_was_told(furnished: Lambda, given: list[str] | None) -> None:
    more = {} if given is None else {"CompatibleArchitectures": given, "CompatibleRuntimes": []}
    made = furnished.client.publish_layer_version(LayerName="told", Content={"ZipFile": archive()}, **more)
    shown = furnished.client.get_layer_version(LayerName="told", VersionNumber=made["Version"])
    for answer in (made, shown):
        assert answer.get("CompatibleArchitectures") == given
        assert answer.get("CompatibleRuntimes") == (None if given is None else [])
