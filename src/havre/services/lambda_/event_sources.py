"""Whether a source is there, and whether the function may read it: asked when a mapping is made or changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from havre.control.operation import Call
from havre.kernel.errors import ApiError
from havre.services.lambda_ import grants
from havre.services.lambda_.errors import invalid
from havre.services.lambda_.resources import Configuration
from havre.services.lambda_.roles import PRINCIPAL

_NEEDED = {
    "sqs": ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"),
    "kinesis": ("kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:DescribeStream"),
    "dynamodb": ("dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:DescribeStream"),
}
_UNREADABLE = (
    "Cannot access stream {}. Please ensure the role can perform the GetRecords, GetShardIterator, DescribeStream, "
    "ListShards, and ListStreams Actions on your stream in IAM."
)
"""AWS's words, which name more than it asks for: roles of before there was ListShards go on."""
_OF_CONSUMERS = ("kinesis:SubscribeToShard",)


async def check_source(call: Call, kind: str, arn: str, config: Configuration) -> None:
    """Raises ApiError."""
    policy = ""
    if kind == "sqs":
        attributes = await _queue(call, arn)
        policy = attributes.get("Policy") or ""
        hidden = int(attributes["VisibilityTimeout"])
        if hidden < config.timeout:
            raise invalid(
                f"Queue visibility timeout: {hidden} seconds is less than Function timeout: {config.timeout} seconds"
            )
    elif kind == "kinesis" and "/consumer/" in arn:
        await _ask(call, arn, "kinesis", "DescribeStreamConsumer", {"ConsumerARN": arn})
        await grants.check(call, config.role, _OF_CONSUMERS, arn)
        await grants.check(call, config.role, ("kinesis:ListShards",), arn.partition("/consumer/")[0])
        return
    elif kind == "kinesis":
        await _ask(call, arn, "kinesis", "DescribeStreamSummary", {"StreamARN": arn})
    else:
        await _ask(call, arn, "dynamodbstreams", "DescribeStream", {"StreamArn": arn, "Limit": 1})
    if kind == "sqs":
        await grants.check(call, config.role, _NEEDED[kind], arn, policy)
    elif await grants.refused(call, config.role, _NEEDED[kind], arn):
        raise invalid(_UNREADABLE.format(arn))


async def _queue(call: Call, arn: str) -> Mapping[str, str]:
    *_, account, name = arn.split(":")
    located = await _ask(call, arn, "sqs", "GetQueueUrl", {"QueueName": name, "QueueOwnerAWSAccountId": account})
    wanted = ["VisibilityTimeout", "Policy"]
    answer = await _ask(
        call, arn, "sqs", "GetQueueAttributes", {"QueueUrl": located["QueueUrl"], "AttributeNames": wanted}
    )
    attributes: Mapping[str, str] = answer["Attributes"]
    return attributes


async def _ask(call: Call, arn: str, service: str, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
    assert call.as_service is not None
    try:
        return await call.as_service(PRINCIPAL)(service, operation, request)
    except ApiError as error:
        if error.status is not None and error.status >= 500:
            raise
        if service == "sqs":
            raise invalid(
                f"Error occurred while ReceiveMessage. SQS Error Code: {error.code}. SQS Error Message: {error.message}"
            ) from None
        if error.code == "ResourceNotFoundException":
            raise invalid(f"Stream not found: {arn}") from None
        raise invalid(f"Received Exception while reading from provided stream. {error.message}") from None
