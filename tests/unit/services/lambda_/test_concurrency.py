"""Reserved and provisioned concurrency, asynchronous invocation's settings, URLs, code signing, runtimes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.unit.services.lambda_.lambda_harness import Lambda, archive, arn, refusal

INVALID = "InvalidParameterValueException"
ONE: dict[str, Any] = {"FunctionName": "one"}


def test_functions_reserve_concurrency_as_far_as_the_account_has_it(lambdas: Lambda) -> None:
    lambdas.create()
    lambdas.create("two")
    client = lambdas.client
    assert "ReservedConcurrentExecutions" not in client.get_function_concurrency(**ONE)
    assert (
        client.put_function_concurrency(**ONE, ReservedConcurrentExecutions=600)["ReservedConcurrentExecutions"] == 600
    )
    assert client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"] == 400
    code, message = refusal(client.put_function_concurrency, FunctionName="two", ReservedConcurrentExecutions=301)
    assert code == INVALID and message.endswith("below its minimum value of [100].")
    client.put_function_concurrency(FunctionName="two", ReservedConcurrentExecutions=300)
    client.put_function_concurrency(**ONE, ReservedConcurrentExecutions=0)
    assert client.get_function(**ONE)["Concurrency"] == {"ReservedConcurrentExecutions": 0}
    code, _ = refusal(client.put_function_concurrency, FunctionName="one:$LATEST", ReservedConcurrentExecutions=1)
    assert code == INVALID
    client.delete_function_concurrency(**ONE)
    assert "Concurrency" not in client.get_function(**ONE)


def test_the_account_tells_what_it_uses(lambdas: Lambda) -> None:
    lambdas.create(Publish=True)
    lambdas.client.publish_layer_version(LayerName="lib", Content={"ZipFile": archive()})
    settings = lambdas.client.get_account_settings()
    assert settings["AccountUsage"] == {"TotalCodeSize": 3 * len(archive()), "FunctionCount": 1}
    assert settings["AccountLimit"]["ConcurrentExecutions"] == 1000


def test_code_storage_ends(lambdas: Lambda, monkeypatch: pytest.MonkeyPatch) -> None:
    from havre.services.lambda_ import limits

    monkeypatch.setattr(limits, "CODE", len(archive()) + 1)
    lambdas.create()
    for call in (
        lambda: lambdas.create("two"),
        lambda: lambdas.client.publish_layer_version(LayerName="lib", Content={"ZipFile": archive()}),
    ):
        assert refusal(call) == ("CodeStorageExceededException", "Code storage limit exceeded.")


def test_versions_and_aliases_have_provisioned_concurrency(lambdas: Lambda) -> None:
    lambdas.create(Publish=True)
    client = lambdas.client
    put, get = client.put_provisioned_concurrency_config, client.get_provisioned_concurrency_config
    code, message = refusal(put, **ONE, Qualifier="$LATEST", ProvisionedConcurrentExecutions=1)
    assert code == INVALID and "unpublished function versions" in message
    assert refusal(get, **ONE, Qualifier="1")[0] == "ProvisionedConcurrencyConfigNotFoundException"
    made = put(**ONE, Qualifier="1", ProvisionedConcurrentExecutions=2)
    assert (made["Status"], made["RequestedProvisionedConcurrentExecutions"]) == ("IN_PROGRESS", 2)
    assert made["AvailableProvisionedConcurrentExecutions"] == 0
    client.create_alias(**ONE, Name="prod", FunctionVersion="1")
    code, _ = refusal(put, **ONE, Qualifier="prod", ProvisionedConcurrentExecutions=1)
    assert code == "ResourceConflictException"
    assert refusal(put, **ONE, Qualifier="none", ProvisionedConcurrentExecutions=1) == (
        "ResourceNotFoundException",
        f"Cannot find alias arn: {arn('function:one:none')}",
    )
    [listed] = client.list_provisioned_concurrency_configs(**ONE)["ProvisionedConcurrencyConfigs"]
    assert listed["FunctionArn"] == arn("function:one:1")
    client.delete_provisioned_concurrency_config(**ONE, Qualifier="1")
    client.delete_provisioned_concurrency_config(**ONE, Qualifier="1")
    put(**ONE, Qualifier="prod", ProvisionedConcurrentExecutions=1)
    code, message = refusal(put, **ONE, Qualifier="1", ProvisionedConcurrentExecutions=1)
    assert (code, message) == ("ResourceConflictException", "Version is pointed by a Provisioned Concurrency alias")


def test_provisioned_concurrency_stays_within_what_is_reserved(lambdas: Lambda) -> None:
    lambdas.create(Publish=True)
    client = lambdas.client
    put = client.put_provisioned_concurrency_config
    assert refusal(put, **ONE, Qualifier="1", ProvisionedConcurrentExecutions=901)[0] == INVALID
    put(**ONE, Qualifier="1", ProvisionedConcurrentExecutions=900)
    put(**ONE, Qualifier="1", ProvisionedConcurrentExecutions=5)
    code, message = refusal(client.put_function_concurrency, **ONE, ReservedConcurrentExecutions=4)
    assert code == INVALID and "should not be lower than function's total provisioned concurrency [5]" in message
    client.put_function_concurrency(**ONE, ReservedConcurrentExecutions=10)
    assert refusal(put, **ONE, Qualifier="1", ProvisionedConcurrentExecutions=11)[0] == INVALID
    assert client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"] == 990


def test_versions_are_provisioned_or_have_snapshots(lambdas: Lambda) -> None:
    lambdas.create(Runtime="python3.13", SnapStart={"ApplyOn": "PublishedVersions"})
    lambdas.client.publish_version(FunctionName="one")
    lambdas.client.create_alias(FunctionName="one", Name="live", FunctionVersion="1")
    lambdas.reconcile()
    for qualifier in ("1", "live"):
        code, message = refusal(
            lambdas.client.put_provisioned_concurrency_config,
            FunctionName="one",
            Qualifier=qualifier,
            ProvisionedConcurrentExecutions=1,
        )
        assert code == "InvalidParameterValueException" and "SnapStart" in message


def test_asynchronous_invocation_is_configured(lambdas: Lambda) -> None:
    lambdas.create()
    lambdas.create("two")
    client, queue = lambdas.client, "arn:aws:sqs:us-east-1:111122223333:dead"
    get, put = client.get_function_event_invoke_config, client.put_function_event_invoke_config
    update = client.update_function_event_invoke_config
    assert refusal(get, **ONE) == (
        "ResourceNotFoundException",
        f"The function {arn('function:one:$LATEST')} doesn't have an EventInvokeConfig",
    )
    for nothing in ({}, {"DestinationConfig": {}}):
        said = refusal(put, **ONE, **nothing)[1]
        assert said == "You must specify at least one of error handling or destination setting."
    assert put(**ONE, DestinationConfig={"OnFailure": {}})["DestinationConfig"] == {"OnSuccess": {}, "OnFailure": {}}
    client.delete_function_event_invoke_config(**ONE)
    given: dict[str, Any] = {"DestinationConfig": {"OnFailure": {"Destination": queue}}}
    assert refusal(put, **ONE, **given) == (
        INVALID,
        f"The function's execution role does not have permissions to call SendMessage on {queue}",
    )
    theirs = queue.replace("111122223333", "444455556666")
    elsewhere = {"DestinationConfig": {"OnFailure": {"Destination": theirs}}}
    assert "permissions to call SendMessage" in refusal(put, **ONE, **elsewhere)[1], "whatever its own policy allows"
    lambdas.grant("sqs:SendMessage", "lambda:InvokeFunction")
    put(**ONE, **elsewhere)
    made = put(**ONE, MaximumRetryAttempts=0, **given)
    assert made["FunctionArn"] == arn("function:one:$LATEST") and made["MaximumRetryAttempts"] == 0
    assert made["DestinationConfig"] == {"OnSuccess": {}, "OnFailure": {"Destination": queue}}
    assert update(**ONE, MaximumEventAgeInSeconds=60)["DestinationConfig"]["OnFailure"] == {"Destination": queue}
    assert "DestinationConfig" in get(**ONE)
    assert "MaximumRetryAttempts" not in put(**ONE, MaximumEventAgeInSeconds=60)
    wrong = [
        "arn:aws:ec2:us-east-1:111122223333:vpc/x",
        f"{queue}.fifo",
        "arn:aws:s3:::only-on-failure",
        arn("function:one"),
        arn("function:none"),
    ]
    for target in wrong:
        assert refusal(put, **ONE, DestinationConfig={"OnSuccess": {"Destination": target}})[0] == INVALID
    put(**ONE, DestinationConfig={"OnSuccess": {"Destination": arn("function:two")}})
    lambdas.create("lasting", DurableConfig={"ExecutionTimeout": 60})
    assert "Durable functions do not support" in refusal(put, FunctionName="lasting", **given)[1]
    put(FunctionName="lasting", MaximumEventAgeInSeconds=60)
    assert refusal(put, FunctionName="one:none", MaximumRetryAttempts=1)[1] == "The function doesn't exist."
    [listed] = client.list_function_event_invoke_configs(**ONE)["FunctionEventInvokeConfigs"]
    assert listed["FunctionArn"] == arn("function:one:$LATEST")
    client.delete_function_event_invoke_config(**ONE)
    assert refusal(client.delete_function_event_invoke_config, **ONE)[0] == "ResourceNotFoundException"


def test_functions_have_urls(lambdas: Lambda) -> None:
    lambdas.create(Publish=True)
    client = lambdas.client
    create = client.create_function_url_config
    cors = {"AllowOrigins": ["https://a.example"], "AllowMethods": ["GET"], "MaxAge": 60, "AllowCredentials": True}
    made = create(**ONE, AuthType="AWS_IAM", Cors=cors, InvokeMode="RESPONSE_STREAM")
    assert re.fullmatch(r"http://[a-z0-9]{32}\.lambda-url\.us-east-1\.localhost:\d+/", made["FunctionUrl"])
    assert made["Cors"] == cors and made["FunctionArn"] == arn("function:one") and "LastModifiedTime" not in made
    code, message = refusal(create, **ONE, AuthType="NONE")
    assert code == "ResourceConflictException" and "FunctionUrlConfig exists" in message
    shown = client.update_function_url_config(**ONE, AuthType="NONE")
    assert (shown["AuthType"], shown["Cors"], shown["InvokeMode"]) == ("NONE", cors, "RESPONSE_STREAM")
    assert refusal(create, FunctionName="none", AuthType="NONE") == (
        "ResourceNotFoundException",
        "Function does not exist",
    )
    assert refusal(create, **ONE, AuthType="NONE", Qualifier="none")[0] == "ResourceNotFoundException"
    assert refusal(create, **ONE, AuthType="NONE", Qualifier="1")[0] == "ValidationException"
    client.create_alias(**ONE, Name="prod", FunctionVersion="1")
    other = create(**ONE, AuthType="NONE", Qualifier="prod")
    assert other["FunctionUrl"] != made["FunctionUrl"]
    assert len(client.list_function_url_configs(**ONE)["FunctionUrlConfigs"]) == 2
    client.delete_function_url_config(**ONE)
    assert refusal(client.get_function_url_config, **ONE)[1] == "The resource you requested does not exist."
    assert create(**ONE, AuthType="NONE")["FunctionUrl"] == made["FunctionUrl"]


@pytest.mark.parametrize(
    ("cors", "code"),
    [
        ({"AllowMethods": ["FETCH"]}, "ValidationException"),
        ({"AllowOrigins": ["*"], "AllowCredentials": True}, INVALID),
        ({"MaxAge": 86401}, "ValidationException"),
    ],
)
def test_cors_of_urls_is_checked(lambdas: Lambda, cors: dict[str, Any], code: str) -> None:
    lambdas.create()
    assert refusal(lambdas.client.create_function_url_config, **ONE, AuthType="NONE", Cors=cors)[0] == code


def test_code_that_nobody_can_sign_is_kept_out_where_signing_is_enforced(lambdas: Lambda) -> None:
    client = lambdas.client
    publishers = {"SigningProfileVersionArns": ["arn:aws:signer:us-east-1:111122223333:/signing-profiles/p/v"]}
    config = client.create_code_signing_config(AllowedPublishers=publishers, Description="mine")["CodeSigningConfig"]
    whole = config["CodeSigningConfigArn"]
    assert config["CodeSigningPolicies"] == {"UntrustedArtifactOnDeployment": "Warn"}
    lambdas.create(CodeSigningConfigArn=whole)
    assert client.get_function_code_signing_config(**ONE)["CodeSigningConfigArn"] == whole
    assert client.list_functions_by_code_signing_config(CodeSigningConfigArn=whole)["FunctionArns"] == [
        arn("function:one")
    ]
    enforce = {"UntrustedArtifactOnDeployment": "Enforce"}
    client.update_code_signing_config(CodeSigningConfigArn=whole, CodeSigningPolicies=enforce)
    for call in (
        lambda: client.update_function_code(**ONE, ZipFile=archive()),
        lambda: lambdas.create("two", CodeSigningConfigArn=whole),
    ):
        assert refusal(call)[0] == "CodeVerificationFailedException"
    assert refusal(client.delete_code_signing_config, CodeSigningConfigArn=whole)[0] == "ResourceConflictException"
    client.delete_function_code_signing_config(**ONE)
    assert "CodeSigningConfigArn" not in client.get_function_code_signing_config(**ONE)
    client.delete_code_signing_config(CodeSigningConfigArn=whole)
    assert refusal(client.get_code_signing_config, CodeSigningConfigArn=whole)[0] == "ResourceNotFoundException"
    assert client.list_code_signing_configs()["CodeSigningConfigs"] == []
    code, _ = refusal(client.put_function_code_signing_config, **ONE, CodeSigningConfigArn=whole)
    assert code == "CodeSigningConfigNotFoundException"


def test_runtimes_and_loops_are_managed_as_far_as_there_is_something_to_manage(lambdas: Lambda) -> None:
    lambdas.create()
    client = lambdas.client
    assert client.get_runtime_management_config(**ONE)["UpdateRuntimeOn"] == "Auto"
    client.put_runtime_management_config(**ONE, UpdateRuntimeOn="FunctionUpdate")
    assert client.get_runtime_management_config(**ONE)["UpdateRuntimeOn"] == "FunctionUpdate"
    manual = {"UpdateRuntimeOn": "Manual", "RuntimeVersionArn": "arn:aws:lambda:us-east-1::runtime:" + "a" * 64}
    assert refusal(client.put_runtime_management_config, **ONE, **manual)[0] == "NotImplementedException"
    assert client.get_function_recursion_config(**ONE)["RecursiveLoop"] == "Terminate"
    client.put_function_recursion_config(**ONE, RecursiveLoop="Allow")
    assert client.get_function_recursion_config(**ONE)["RecursiveLoop"] == "Allow"
    code, _ = refusal(client.put_function_scaling_config, **ONE, Qualifier="1")
    assert code == "ResourceNotFoundException"
