"""Functions that run on capacity providers."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.services.lambda_.capacity_harness import CONFLICT, INVALID, PUBLISHED, Capacity
from tests.unit.services.lambda_.lambda_harness import (
    ACCOUNT,
    REGION,
    archive,
    arn,
    refusal,
)

from havre.kernel.errors import Permanent
from havre.services.lambda_.invoking.events import Where
from havre.services.lambda_.rules import managed as rules


def test_a_function_on_a_provider_says_so(capacity: Capacity) -> None:
    capacity.provider()
    made = capacity.managed()
    used = made["CapacityProviderConfig"]["LambdaManagedInstancesCapacityProviderConfig"]
    assert used == {
        "CapacityProviderArn": arn("capacity-provider:pool"),
        "PerExecutionEnvironmentMaxConcurrency": 16,
        "ExecutionEnvironmentMemoryGiBPerVCpu": 2.0,
    }
    assert made["MemorySize"] == 2048 and made["State"] == "Pending"
    assert made["LoggingConfig"]["LogFormat"] == "JSON" and "VpcConfig" not in made
    assert "SnapStart" not in made
    assert capacity.get()["State"] == "ActiveNonInvocable"
    (prepared,) = capacity.functions.prepared
    assert (prepared.concurrency, prepared.cpus) == (16, 1.0)
    assert prepared.network is not None and prepared.network.subnets == tuple(capacity.subnets)
    assert prepared.network.vpc == capacity.vpc


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"Runtime": "python3.12"}, INVALID, "python3.12"),
        ({"Runtime": "ruby3.4"}, INVALID, "ruby3.4"),
        ({"MemorySize": 1024}, INVALID, "MemorySize"),
        ({"SnapStart": {"ApplyOn": "PublishedVersions"}}, INVALID, "SnapStart"),
        ({"TenancyConfig": {"TenantIsolationMode": "PER_TENANT"}}, INVALID, "TenancyConfig"),
        ({"LoggingConfig": {"LogFormat": "Text"}}, INVALID, "LogFormat"),
        ({"Timeout": 901}, "ValidationException", "timeout"),
        ({"PublishTo": "LATEST_PUBLISHED"}, INVALID, "Publish is true"),
    ],
)
def test_what_a_function_on_a_provider_cannot_be(
    settled: Capacity, changes: dict[str, Any], code: str, words: str
) -> None:
    found, message = refusal(settled.managed, **changes)
    assert found == code and words in message
    assert refusal(settled.get)[0] == "ResourceNotFoundException"


@pytest.mark.parametrize(
    ("used", "code", "words"),
    [
        ({"PerExecutionEnvironmentMaxConcurrency": 65}, INVALID, "64 per vCPU"),
        ({"ExecutionEnvironmentMemoryGiBPerVCpu": 4.0}, INVALID, "1 vCPU"),
        ({"CapacityProviderArn": arn("capacity-provider:none")}, "ResourceNotFoundException", "none"),
    ],
)
def test_how_a_function_cannot_use_a_provider(settled: Capacity, used: dict[str, Any], code: str, words: str) -> None:
    found, message = refusal(settled.create, Runtime="python3.13", **settled.on(**used))
    assert found == code and words in message


def test_a_function_in_a_vpc_of_its_own_is_on_no_provider(settled: Capacity) -> None:
    settled.grant("ec2:*")
    vpc = {"SubnetIds": settled.subnets, "SecurityGroupIds": [settled.group]}
    code, message = refusal(settled.managed, VpcConfig=vpc)
    assert code == INVALID and "VpcConfig" in message


def test_the_caller_has_to_be_allowed_to_pass_the_provider(capacity: Capacity) -> None:
    whole = capacity.provider()
    user = capacity.iam.create_user(UserName="dev")["User"]["UserName"]
    document = (
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["lambda:CreateFunction", "iam:PassRole"], '
        '"Resource": "*"}]}'
    )
    capacity.iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=document)
    key = capacity.iam.create_access_key(UserName=user)["AccessKey"]
    client = capacity.running.client("lambda", key)
    given = {
        "FunctionName": "one",
        "Runtime": "python3.13",
        "Handler": "app.handler",
        "Role": capacity.role,
        "Code": {"ZipFile": archive()},
        **capacity.on(),
    }
    code, message = refusal(client.create_function, **given)
    assert code == "AccessDeniedException" and "lambda:PassCapacityProvider" in message and whole in message


def test_published_versions_are_invoked_and_nothing_else(capacity: Capacity) -> None:
    capacity.provider()
    capacity.managed()
    invoke = capacity.client.invoke
    code, message = refusal(invoke, FunctionName="one")
    assert code == "NoPublishedVersionException" and "no published version exists" in message
    assert capacity.publish() == PUBLISHED
    assert capacity.state() == "Active"
    assert capacity.functions.counts() == [3]
    answer = invoke(FunctionName="one", Payload=b"{}")
    assert answer["ExecutedVersion"] == PUBLISHED and answer["Payload"].read() == b'"done"'
    assert capacity.functions.invoked[-1].version == PUBLISHED
    code, message = refusal(invoke, FunctionName="one", Qualifier="$LATEST")
    assert code == INVALID and "can't be invoked with $LATEST" in message
    assert refusal(invoke, FunctionName="one", LogType="Tail")[1] == (
        "Tail logs are not supported for functions configured with capacity provider"
    )
    assert capacity.publish(to="") == "1"
    assert invoke(FunctionName="one", Qualifier="1")["ExecutedVersion"] == "1"
    versions = capacity.client.list_versions_by_function(FunctionName="one")["Versions"]
    assert [v["Version"] for v in versions] == ["$LATEST", PUBLISHED, "1"]


def test_publishing_again_replaces_what_is_served_when_it_is_ready(capacity: Capacity) -> None:
    capacity.provider()
    capacity.managed(Publish=True, PublishTo="LATEST_PUBLISHED")
    capacity.later()
    (first,) = [id for id, count in capacity.functions.wanted.items() if count]
    client = capacity.client
    client.update_function_configuration(FunctionName="one", Description="other", Timeout=9)
    capacity.reconcile()
    capacity.functions.most = 0
    again = client.publish_version(FunctionName="one", PublishTo="LATEST_PUBLISHED")
    assert again["Version"] == PUBLISHED and again["State"] == "Active"
    capacity.later()
    now = capacity.get(Qualifier=PUBLISHED)
    assert (now["State"], now["LastUpdateStatus"], now["Timeout"]) == ("Active", "InProgress", 9)
    code, _ = refusal(client.publish_version, FunctionName="one", PublishTo="LATEST_PUBLISHED")
    assert code == CONFLICT
    client.invoke(FunctionName="one")
    assert capacity.functions.invoked[-1].id == first
    capacity.functions.most = 1000
    capacity.later()
    assert capacity.get(Qualifier=PUBLISHED)["LastUpdateStatus"] == "Successful"
    client.invoke(FunctionName="one")
    assert capacity.functions.invoked[-1].timeout == 9
    assert first in capacity.functions.retired and capacity.functions.counts() == [3]


def test_why_a_version_cannot_be_made_ready(capacity: Capacity) -> None:
    capacity.provider()
    capacity.managed()
    capacity.functions.most = 0
    capacity.functions.told = {"error": "Runtime.ImportModuleError: no module app"}
    capacity.publish()
    found = capacity.get(Qualifier=PUBLISHED)
    assert (found["State"], found["StateReasonCode"]) == ("Failed", "FunctionError")
    assert "no module app" in found["StateReason"]
    assert capacity.functions.counts() == []
    capacity.functions.told = {"error": "this node has no memory left", "short": True}
    capacity.publish(to="")
    found = capacity.get(Qualifier="1")
    assert (found["State"], found["StateReasonCode"]) == ("Failed", "InsufficientCapacity")
    assert refusal(capacity.client.invoke, FunctionName="one", Qualifier="1")[0] == CONFLICT


def test_files_that_cannot_be_had_fail_a_version(capacity: Capacity) -> None:
    capacity.provider()
    capacity.managed()
    capacity.functions.fault = Permanent("no such runtime on this machine")
    capacity.publish()
    found = capacity.get(Qualifier=PUBLISHED)
    assert found["State"] == "Failed" and "no such runtime" in found["StateReason"]


def test_as_many_environments_as_there_is_room_for_will_do(capacity: Capacity) -> None:
    capacity.provider()
    capacity.managed()
    capacity.functions.most = 1
    capacity.functions.told = {"error": "no memory left", "short": True}
    capacity.publish()
    assert capacity.state() == "Active"


def test_vcpus_of_a_provider_are_held(capacity: Capacity) -> None:
    capacity.provider(CapacityProviderScalingConfig={"MaxVCpuCount": 5})
    capacity.managed()
    capacity.managed("two", MemorySize=4096)
    capacity.publish()
    capacity.publish("two")
    assert capacity.functions.counts() == [1, 3]
    assert capacity.state(name="two") == "Active"
    assert capacity.publish(to="") == "1"
    found = capacity.get(Qualifier="1")
    assert (found["State"], found["StateReasonCode"]) == ("Failed", "CapacityProviderScalingLimitExceeded")
    capacity.client.update_capacity_provider(
        CapacityProviderName="pool", CapacityProviderScalingConfig={"MaxVCpuCount": 9}
    )
    capacity.later()
    assert capacity.functions.counts() == [3, 3]


def test_versions_are_scaled_between_their_bounds(capacity: Capacity) -> None:
    capacity.provider()
    capacity.managed()
    capacity.publish()
    client, given = capacity.client, {"FunctionName": "one", "Qualifier": PUBLISHED}
    config = client.get_function_scaling_config(**given)
    assert config["FunctionArn"] == arn(f"function:one:{PUBLISHED}")
    assert config["AppliedFunctionScalingConfig"] == config["RequestedFunctionScalingConfig"]
    assert config["AppliedFunctionScalingConfig"] == {"MinExecutionEnvironments": 3}
    bounds = {"MinExecutionEnvironments": 1, "MaxExecutionEnvironments": 5}
    assert client.put_function_scaling_config(**given, FunctionScalingConfig=bounds)["FunctionState"] == "Active"
    capacity.functions.told = {"busy": 1.0}
    capacity.later()
    assert capacity.functions.counts() == [5]
    assert client.get_function_scaling_config(**given)["AppliedFunctionScalingConfig"] == bounds
    capacity.functions.told = {}
    capacity.later(70.0, 2.0)
    assert capacity.functions.counts() == [4]
    capacity.later(300.0, 5.0)
    assert capacity.functions.counts() == [1]
    capacity.functions.told = {"cpu": 0.9}
    capacity.later()
    assert capacity.functions.counts() == [5]
    client.put_function_scaling_config(**given)
    assert client.get_function_scaling_config(**given)["RequestedFunctionScalingConfig"] == {
        "MinExecutionEnvironments": 3
    }


def test_a_version_is_switched_off_and_on(capacity: Capacity) -> None:
    capacity.provider()
    capacity.managed()
    capacity.publish()
    client, given = capacity.client, {"FunctionName": "one", "Qualifier": PUBLISHED}
    put = client.put_function_scaling_config
    off = {"MinExecutionEnvironments": 0, "MaxExecutionEnvironments": 0}
    assert put(**given, FunctionScalingConfig=off)["FunctionState"] == "Deactivating"
    capacity.later()
    assert capacity.state() == "Deactivated" and capacity.functions.counts() == []
    assert client.get_function_scaling_config(**given)["AppliedFunctionScalingConfig"] == off
    code, message = refusal(client.invoke, FunctionName="one")
    assert code == CONFLICT and message.endswith("Deactivated")
    on = {"MinExecutionEnvironments": 2, "MaxExecutionEnvironments": 2}
    assert put(**given, FunctionScalingConfig=on)["FunctionState"] == "Pending"
    capacity.later()
    assert capacity.state() == "Active" and capacity.functions.counts() == [2]
    client.invoke(FunctionName="one")


@pytest.mark.parametrize(
    "bounds",
    [
        {"MinExecutionEnvironments": 0, "MaxExecutionEnvironments": 4},
        {"MinExecutionEnvironments": 0},
        {"MinExecutionEnvironments": 4, "MaxExecutionEnvironments": 3},
        {"MaxExecutionEnvironments": 2},
    ],
)
def test_bounds_that_are_none(capacity: Capacity, bounds: dict[str, int]) -> None:
    capacity.provider()
    capacity.managed()
    capacity.publish(to="")
    put = capacity.client.put_function_scaling_config
    assert refusal(put, FunctionName="one", Qualifier="1", FunctionScalingConfig=bounds)[0] == INVALID


def test_default_functions_have_nothing_of_it(settled: Capacity) -> None:
    settled.create("plain", Publish=True)
    client, given = settled.client, {"FunctionName": "plain"}
    bounds = {"MinExecutionEnvironments": 1, "MaxExecutionEnvironments": 1}
    put = client.put_function_scaling_config
    assert refusal(put, **given, Qualifier="1", FunctionScalingConfig=bounds)[0] == INVALID
    assert refusal(put, **given, Qualifier="7", FunctionScalingConfig=bounds)[0] == "ResourceNotFoundException"
    assert refusal(client.publish_version, **given, PublishTo="LATEST_PUBLISHED")[0] == INVALID
    code, message = refusal(client.update_function_configuration, **given, **settled.on())
    assert (code, message) == (INVALID, "CapacityProviderConfig isn't supported for Lambda Default functions.")
    assert refusal(settled.get, name="plain", Qualifier=PUBLISHED)[0] == "ResourceNotFoundException"
    client.delete_function(**given)


def test_concurrency_is_not_set_aside_for_functions_on_providers(capacity: Capacity) -> None:
    capacity.provider()
    capacity.managed()
    capacity.publish(to="")
    client = capacity.client
    code, _ = refusal(client.put_function_concurrency, FunctionName="one", ReservedConcurrentExecutions=1)
    assert code == INVALID
    put = client.put_provisioned_concurrency_config
    given = {"FunctionName": "one", "Qualifier": "1", "ProvisionedConcurrentExecutions": 1}
    code, message = refusal(put, **given)
    assert code == INVALID and "capacity provider" in message


def test_a_provider_in_use_stays(capacity: Capacity) -> None:
    capacity.provider()
    capacity.managed(Publish=True, PublishTo="LATEST_PUBLISHED")
    capacity.later()
    client, given = capacity.client, {"CapacityProviderName": "pool"}
    listed = client.list_function_versions_by_capacity_provider(**given)
    assert listed["CapacityProviderArn"] == arn("capacity-provider:pool")
    assert {(v["FunctionArn"], v["State"]) for v in listed["FunctionVersions"]} == {
        (arn("function:one:$LATEST"), "ActiveNonInvocable"),
        (arn(f"function:one:{PUBLISHED}"), "Active"),
    }
    code, message = refusal(client.delete_capacity_provider, **given)
    assert code == CONFLICT and "in use" in message
    client.delete_function(FunctionName="one")
    capacity.later()
    assert capacity.functions.counts() == []
    client.delete_capacity_provider(**given)
    code, _ = refusal(capacity.managed)
    assert code == CONFLICT


def test_versions_of_a_provider_end(capacity: Capacity, monkeypatch: pytest.MonkeyPatch) -> None:
    capacity.provider()
    capacity.managed()
    monkeypatch.setattr(rules, "VERSIONS", 1)
    capacity.publish()
    code, _ = refusal(capacity.client.publish_version, FunctionName="one")
    assert code == "FunctionVersionsPerCapacityProviderLimitExceededException"
    capacity.client.delete_function(FunctionName="one", Qualifier=PUBLISHED)
    capacity.later()
    assert capacity.functions.counts() == [] and capacity.publish(to="") == "1"


def test_the_provider_of_a_function_is_changed(capacity: Capacity) -> None:
    capacity.provider()
    capacity.provider("other")
    capacity.managed()
    used = capacity.on("other", PerExecutionEnvironmentMaxConcurrency=4)
    changed = capacity.client.update_function_configuration(FunctionName="one", **used)
    found = changed["CapacityProviderConfig"]["LambdaManagedInstancesCapacityProviderConfig"]
    assert found["CapacityProviderArn"] == arn("capacity-provider:other")
    assert found["PerExecutionEnvironmentMaxConcurrency"] == 4
    capacity.reconcile()
    capacity.publish()
    capacity.client.delete_capacity_provider(CapacityProviderName="pool")
    assert refusal(capacity.client.delete_capacity_provider, CapacityProviderName="other")[0] == CONFLICT


def test_an_alias_leads_to_versions_on_a_provider(capacity: Capacity) -> None:
    capacity.provider()
    capacity.managed()
    capacity.publish()
    capacity.client.create_alias(FunctionName="one", Name="live", FunctionVersion=PUBLISHED)
    answer = capacity.client.invoke(FunctionName="one", Qualifier="live")
    assert answer["ExecutedVersion"] == PUBLISHED


def test_what_is_said_of_events_of_the_function_holds_for_what_it_leads_to(capacity: Capacity) -> None:
    capacity.provider()
    capacity.managed()
    capacity.publish()
    events = capacity.facilities.open_invoking(capacity.running.store, capacity.running.world).events
    where = Where(ACCOUNT, REGION, "one")
    put = capacity.client.put_function_event_invoke_config
    put(FunctionName="one", MaximumRetryAttempts=1)
    config = events._config(where, PUBLISHED)
    assert config is not None and config.retries == 1
    put(FunctionName="one", Qualifier=PUBLISHED, MaximumRetryAttempts=0)
    config = events._config(where, PUBLISHED)
    assert config is not None and config.retries == 0
