"""Functions whose environments serve one tenant each."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.services.lambda_.lambda_harness import ACCOUNT, REGION, Lambda, refusal

INVALID = "InvalidParameterValueException"
PER_TENANT = {"TenancyConfig": {"TenantIsolationMode": "PER_TENANT"}}
ONE = {"FunctionName": "one"}


def test_it_is_said_and_versions_have_it_too(lambdas: Lambda) -> None:
    made = lambdas.create(Publish=True, **PER_TENANT)
    shown = [made, lambdas.get(), lambdas.get(Qualifier="1")]
    assert [each["TenancyConfig"] for each in shown] == [PER_TENANT["TenancyConfig"]] * 3


@pytest.mark.parametrize(
    ("operation", "given", "what"),
    [
        ("create_function_url_config", {**ONE, "AuthType": "NONE"}, "A function URL"),
        ("create_function_url_config", {**ONE, "AuthType": "NONE", "Qualifier": "live"}, "A function URL"),
        ("put_provisioned_concurrency_config", {**ONE, "Qualifier": "1", "ProvisionedConcurrentExecutions": 1},
         "Provisioned Concurrency"),
        ("create_event_source_mapping", {**ONE, "EventSourceArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:q"},
         "An event source mapping"),
        ("update_function_configuration", {**ONE, "SnapStart": {"ApplyOn": "PublishedVersions"}}, "SnapStart"),
    ],
)  # fmt: skip
def test_what_says_no_tenant_is_refused(lambdas: Lambda, operation: str, given: dict[str, Any], what: str) -> None:
    lambdas.create(Publish=True, **PER_TENANT)
    lambdas.client.create_alias(**ONE, Name="live", FunctionVersion="1")
    words = f"{what} is not supported for functions with tenant isolation."
    assert refusal(getattr(lambdas.client, operation), **given) == (INVALID, words)


def test_snapshots_are_refused_from_the_beginning(lambdas: Lambda) -> None:
    given = {**PER_TENANT, "SnapStart": {"ApplyOn": "PublishedVersions"}}
    assert refusal(lambdas.create, **given) == (
        INVALID,
        "SnapStart is not supported for functions with tenant isolation.",
    )
    assert refusal(lambdas.get)[0] == "ResourceNotFoundException"
