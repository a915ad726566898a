"""Every declared operation of topics, events and schedules answers, or refuses, as its model says: none fails inside."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.running_gateway import ACCOUNT
from tests.running_targets import Targets

from havre.services import events, scheduler, sns

SERVICES = {"sns": sns.service(), "events": events.service(), "scheduler": scheduler.service()}
GUESSES = {
    "TopicArn": f"arn:aws:sns:us-east-1:{ACCOUNT}:t",
    "SubscriptionArn": f"arn:aws:sns:us-east-1:{ACCOUNT}:t:00000000-0000-4000-a000-000000000000",
    "ResourceARN": f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/default",
    "EventSourceArn": f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/default",
    "ScheduleExpression": "rate(1 day)",
}


def params(shape: Any, name: str = "", resource: str = "") -> Any:
    """The least that a model takes, with values that might be somebody's."""
    if shape.type_name == "structure":
        return {n: params(shape.members[n], n, resource) for n in shape.required_members}
    if shape.type_name == "list":
        return [params(shape.member, name, resource)] * max(1, shape.metadata.get("min", 1))
    if shape.type_name == "map":
        return {}
    plain = {"integer": 1, "long": 1, "boolean": True, "timestamp": 1_700_000_000, "blob": b"x"}
    if shape.type_name in plain:
        return plain[shape.type_name]
    if shape.enum:
        return shape.enum[0]
    return resource if name == "ResourceArn" else GUESSES.get(name, "x" * max(1, shape.metadata.get("min", 1)))


@pytest.mark.parametrize("name", SERVICES)
def test_every_operation_answers_or_refuses(name: str) -> None:
    resources = {
        "sns": GUESSES["TopicArn"],
        "scheduler": f"arn:aws:scheduler:us-east-1:{ACCOUNT}:schedule-group/default",
    }
    targets = Targets(list(SERVICES.values()), lambda deps: [])
    try:
        client = targets.running.client(name)
        client.create_topic(Name="t") if name == "sns" else None
        operations, answered = client.meta.service_model.operation_names, []
        for operation in operations:
            model = client.meta.service_model.operation_model(operation)
            asked = params(model.input_shape, "", resources.get(name, "")) if model.input_shape else {}
            try:
                client._make_api_call(operation, asked)
            except ClientError as error:
                status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                declared = operation in SERVICES[name].operations
                assert status < 500 if declared else status == 501, f"{operation}: {error}"
                assert declared or operation in error.response["Error"]["Message"]
            else:
                answered.append(operation)
        assert len(answered) >= 7 and set(answered) <= set(SERVICES[name].operations)
    finally:
        targets.close()
