"""The words in which CloudWatch Logs refuses, where tools look for them."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.unit.services.logs.logs_harness import GROUP, Logs

STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/s"


@pytest.mark.parametrize(
    ("operation", "arguments", "code", "words"),
    [
        ("describe_log_groups", {"logGroupNamePrefix": "a", "logGroupNamePattern": "b"}, "InvalidParameterException",
         "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters."),
        ("describe_log_streams", {"logGroupName": GROUP, "logGroupIdentifier": GROUP}, "ValidationException",
         "LogGroup name and LogGroup ARN are mutually exclusive parameters."),
        ("put_subscription_filter",
         {"logGroupName": GROUP, "filterName": "f", "filterPattern": "", "destinationArn": STREAM},
         "InvalidParameterException", "destinationArn for vendor kinesis cannot be used without roleArn"),
        ("delete_resource_policy", {"policyName": "none"}, "ResourceNotFoundException",
         "Policy with name [none] does not exist."),
    ],
)  # fmt: skip
def test_refusals(logs: Logs, operation: str, arguments: dict[str, Any], code: str, words: str) -> None:
    logs.make()
    with pytest.raises(ClientError) as told:
        getattr(logs.client, operation)(**arguments)
    error = told.value.response["Error"]
    assert (error["Code"], error["Message"]) == (code, words)
