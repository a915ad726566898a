"""Capacity providers: made, listed, refused, ended."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.services.lambda_.capacity_harness import CONFLICT, INVALID, Capacity
from tests.unit.services.lambda_.lambda_harness import (
    OTHER_ROOT,
    arn,
    refusal,
)

from havre.services.lambda_.rules import managed as rules


def test_a_provider_comes_into_being_and_goes(capacity: Capacity) -> None:
    client = capacity.client
    made = client.create_capacity_provider(**capacity.given(Tags={"team": "a"}))["CapacityProvider"]
    whole = arn("capacity-provider:pool")
    assert made["CapacityProviderArn"] == whole and made["State"] == "Pending"
    assert made["VpcConfig"] == {"SubnetIds": capacity.subnets, "SecurityGroupIds": [capacity.group]}
    assert made["PermissionsConfig"] == {"CapacityProviderOperatorRoleArn": capacity.operator}
    assert made["InstanceRequirements"] == {"Architectures": ["x86_64"]}
    assert made["CapacityProviderScalingConfig"] == {"MaxVCpuCount": 400, "ScalingMode": "Auto"}
    assert made["LastModified"]
    capacity.reconcile()
    for name in ("pool", whole):
        assert client.get_capacity_provider(CapacityProviderName=name)["CapacityProvider"]["State"] == "Active"
    assert refusal(client.create_capacity_provider, **capacity.given())[0] == CONFLICT
    assert client.list_tags(Resource=whole)["Tags"] == {"team": "a"}
    client.tag_resource(Resource=whole, Tags={"more": "b"})
    client.untag_resource(Resource=whole, TagKeys=["team"])
    assert client.list_tags(Resource=whole)["Tags"] == {"more": "b"}
    assert client.delete_capacity_provider(CapacityProviderName="pool")["CapacityProvider"]["State"] == "Deleting"
    capacity.reconcile()
    code, message = refusal(client.get_capacity_provider, CapacityProviderName="pool")
    assert (code, message) == ("ResourceNotFoundException", f"Capacity provider not found: {whole}")


def test_providers_are_listed_by_pages_and_states(capacity: Capacity) -> None:
    for name in ("a", "b", "c"):
        capacity.provider(name)
    capacity.client.create_capacity_provider(**capacity.given("d"))
    first = capacity.client.list_capacity_providers(MaxItems=2)
    rest = capacity.client.list_capacity_providers(MaxItems=2, Marker=first["NextMarker"])
    names = [p["CapacityProviderArn"][-1] for p in (*first["CapacityProviders"], *rest["CapacityProviders"])]
    assert names == ["a", "b", "c", "d"]
    pending = capacity.client.list_capacity_providers(State="Pending")["CapacityProviders"]
    assert [p["CapacityProviderArn"] for p in pending] == [arn("capacity-provider:d")]


def test_a_provider_without_groups_has_the_default_one_of_its_vpc(capacity: Capacity) -> None:
    given = capacity.given(VpcConfig={"SubnetIds": capacity.subnets, "SecurityGroupIds": []})
    made = capacity.client.create_capacity_provider(**given)["CapacityProvider"]
    assert made["VpcConfig"]["SecurityGroupIds"] == [capacity.group]


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"VpcConfig": {"SubnetIds": ["subnet-0"], "SecurityGroupIds": ["sg-1"]}}, INVALID, "InvalidSubnetID"),
        (
            {"InstanceRequirements": {"AllowedInstanceTypes": ["m7i.large"], "ExcludedInstanceTypes": ["c*"]}},
            INVALID,
            "one",
        ),
        ({"InstanceRequirements": {"Architectures": ["arm64"]}}, "NotImplementedException", "arm64"),
        ({"CapacityProviderScalingConfig": {"ScalingMode": "Manual"}}, INVALID, "required"),
        (
            {
                "CapacityProviderScalingConfig": {
                    "ScalingPolicies": [
                        {"PredefinedMetricType": "LambdaCapacityProviderAverageCPUUtilization", "TargetValue": 50}
                    ]
                }
            },
            INVALID,
            "Manual",
        ),
        (
            {
                "CapacityProviderScalingConfig": {
                    "ScalingMode": "Manual",
                    "ScalingPolicies": [
                        {"PredefinedMetricType": "LambdaCapacityProviderAverageGPUUtilization", "TargetValue": 50}
                    ],
                }
            },
            "NotImplementedException",
            "GPU",
        ),
        ({"KmsKeyArn": "arn:aws:kms:us-east-1:111122223333:key/a"}, "NotImplementedException", "KmsKeyArn"),
        ({"PropagateTags": {"Mode": "Explicit"}}, INVALID, "ExplicitTags"),
        ({"CapacityProviderScalingConfig": {"MaxVCpuCount": 1}}, "ValidationException", "axVCpuCount"),
    ],
)
def test_what_a_provider_cannot_be(settled: Capacity, changes: dict[str, Any], code: str, words: str) -> None:
    found, message = refusal(settled.client.create_capacity_provider, **settled.given("other", **changes))
    assert found == code and words in message
    assert refusal(settled.client.get_capacity_provider, CapacityProviderName="other")[0] == "ResourceNotFoundException"


def test_the_operator_role_has_to_let_lambda_in(settled: Capacity) -> None:
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole"}]}
    role = settled.make_role("stranger", trust)
    given = settled.given("other", PermissionsConfig={"CapacityProviderOperatorRoleArn": role})
    code, message = refusal(settled.client.create_capacity_provider, **given)
    assert code == INVALID and "cannot be assumed" in message


def test_providers_end(capacity: Capacity, monkeypatch: pytest.MonkeyPatch) -> None:
    capacity.provider()
    monkeypatch.setattr(rules, "PROVIDERS", 1)
    code, _ = refusal(capacity.client.create_capacity_provider, **capacity.given("two"))
    assert code == "CapacityProviderLimitExceededException"


def test_scaling_of_a_provider_is_changed(capacity: Capacity) -> None:
    capacity.provider()
    policy = {"PredefinedMetricType": "LambdaCapacityProviderAverageCPUUtilization", "TargetValue": 70.0}
    wanted = {"MaxVCpuCount": 16, "ScalingMode": "Manual", "ScalingPolicies": [policy]}
    update = capacity.client.update_capacity_provider
    given: dict[str, Any] = {"CapacityProviderName": "pool"}
    changed = update(**given, CapacityProviderScalingConfig=wanted)["CapacityProvider"]
    assert changed["CapacityProviderScalingConfig"] == wanted
    changed = update(**given, CapacityProviderScalingConfig={"MaxVCpuCount": 8})["CapacityProvider"]
    assert changed["CapacityProviderScalingConfig"] == {**wanted, "MaxVCpuCount": 8}
    changed = update(**given, CapacityProviderScalingConfig={"ScalingMode": "Auto"})["CapacityProvider"]
    assert changed["CapacityProviderScalingConfig"] == {"MaxVCpuCount": 8, "ScalingMode": "Auto"}
    telemetry = {"LoggingConfig": {"SystemLogLevel": "DEBUG"}}
    tags = {"Mode": "Explicit", "ExplicitTags": {"a": "b"}}
    changed = update(**given, TelemetryConfig=telemetry, PropagateTags=tags)["CapacityProvider"]
    assert changed["TelemetryConfig"]["LoggingConfig"]["LogGroup"] == "/aws/lambda/capacity-provider/pool"
    assert changed["PropagateTags"] == tags


def test_another_account_does_not_see_it(settled: Capacity) -> None:
    client = settled.running.client("lambda", OTHER_ROOT)
    whole = arn("capacity-provider:pool")
    assert refusal(client.get_capacity_provider, CapacityProviderName="pool")[0] == "ResourceNotFoundException"
    assert refusal(client.get_capacity_provider, CapacityProviderName=whole)[0] in (
        "ResourceNotFoundException",
        "AccessDeniedException",
    )
