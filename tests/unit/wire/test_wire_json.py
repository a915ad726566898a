"""The fast decoder and the slow one are two ways to one answer."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from tests.wire import opposite
from tests.wire.values import Maker

from havre.kernel.errors import ApiError
from havre.wire.dialects import dialect
from havre.wire.jsoncodec import JsonCodec
from havre.wire.models import ModelSource, OperationModel

_MODELS = ModelSource(None)
_NAMES = ("ecs", "ecr", "logs", "dynamodb", "application-autoscaling", "cloudtrail", "ssm", "events")


def _outcome(parse: Any, operation: OperationModel, body: bytes) -> Any:
    try:
        return parse(operation, operation.input, body)
    except ApiError as refused:
        return refused.code, refused.message


@pytest.mark.parametrize("name", _NAMES)
def test_fast_and_slow_agree(name: str) -> None:
    chance = random.Random(name)
    model = _MODELS.service(name)
    codec = JsonCodec(dialect(model, "json"))
    for operation_name in chance.sample(sorted(model.operations), 12):
        operation = model.operations[operation_name]
        theirs = opposite.service(name).operation_model(operation_name)
        if operation.input is None or operation_name == "StartLiveTail":
            continue
        for round_ in range(12):
            params = Maker(f"{name}{operation_name}{round_}", True).structure(theirs.input_shape)
            request = opposite.client_request(theirs, "json", params)
            value = msgspec.json.decode(request.body)
            for _ in range(round_ % 4):
                _damage(chance, value)
            body = msgspec.json.encode(value)
            assert _outcome(codec.parse, operation, body) == _outcome(codec._parse_slowly, operation, body)


def _damage(chance: random.Random, value: Any) -> None:
    """Changes one value somewhere below."""
    wrong = (None, "", "x" * 3000, 0, -1, 2**40, 1.5, True, [], {}, ["a"], {"a": "b"}, "2026-01-01T00:00:00Z")
    if isinstance(value, dict) and value:
        key = chance.choice(sorted(value))
        if value[key] and isinstance(value[key], (dict, list)) and chance.random() < 0.7:
            _damage(chance, value[key])
        elif chance.random() < 0.3:
            del value[key]
        else:
            value[key] = chance.choice(wrong)
    elif isinstance(value, list) and value:
        at = chance.randrange(len(value))
        if value[at] and isinstance(value[at], (dict, list)):
            _damage(chance, value[at])
        else:
            value[at] = chance.choice(wrong)


def test_none_is_left_out_at_any_depth_and_nan_is_said() -> None:
    operation = _MODELS.service("ecs").operations["DescribeTasks"]
    codec = JsonCodec(dialect(_MODELS.service("ecs"), "json"))
    assert operation.output is not None
    answer = {
        "tasks": [{"taskArn": "null", "group": None, "containers": [{"name": None, "exitCode": 0}]}],
        "failures": None,
    }
    body = codec.render(operation.output, answer)
    assert msgspec.json.decode(body) == {"tasks": [{"taskArn": "null", "containers": [{"exitCode": 0}]}]}
    numbers = _MODELS.service("ecs").operations["DescribeTaskSets"].output
    assert numbers is not None
    body = codec.render(numbers, {"taskSets": [{"scale": {"value": float("nan")}}]})
    assert msgspec.json.decode(body) == {"taskSets": [{"scale": {"value": "NaN"}}]}
