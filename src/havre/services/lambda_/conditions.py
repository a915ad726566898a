"""Lambda's condition keys: of what a request brings, and of what it is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from havre.control.operation import Call
from havre.kernel.arn import Arn
from havre.services.lambda_.queries import function_arn
from havre.services.lambda_.resources import CAPACITY, CODE_SIGNING, FUNCTION, MAPPING

Conditions = dict[str, str | Sequence[str]]


def settings(request: Mapping[str, Any]) -> Conditions:
    """Of what a function is configured with."""
    vpc = request.get("VpcConfig") or {}
    lists = {
        "lambda:Layer": request.get("Layers"),
        "lambda:SubnetIds": vpc.get("SubnetIds"),
        "lambda:SecurityGroupIds": vpc.get("SecurityGroupIds"),
    }
    keys: Conditions = {key: list(value) for key, value in lists.items() if value}
    if request.get("CodeSigningConfigArn"):
        keys["lambda:CodeSigningConfigArn"] = request["CodeSigningConfigArn"]
    return keys


def about(call: Call, arn: str) -> Conditions:
    """Tags of a function (of its versions and aliases too), of a code signing configuration, a capacity provider or an event
    source mapping; of the latter, which function it invokes."""
    try:
        parsed = Arn.parse(arn)
    except ValueError:
        return {}
    if parsed.kind == "function":
        function = call.store.get(FUNCTION, parsed.account, parsed.region, parsed.name.partition(":")[0])
        return {} if function is None else _tags(function.spec.tags)
    if parsed.kind == "code-signing-config":
        config = call.store.get(CODE_SIGNING, parsed.account, parsed.region, parsed.name)
        return {} if config is None else _tags(config.spec.tags)
    if parsed.kind == "capacity-provider":
        capacity = call.store.get(CAPACITY, parsed.account, parsed.region, parsed.name)
        return {} if capacity is None else _tags(capacity.spec.tags)
    if parsed.kind == "event-source-mapping":
        mapping = call.store.get(MAPPING, parsed.account, parsed.region, parsed.name)
        if mapping is not None:
            whole = function_arn(parsed.account, parsed.region, mapping.spec.function, mapping.spec.qualifier)
            return {**_tags(mapping.spec.tags), "lambda:FunctionArn": whole}
    return {}


def _tags(tags: Mapping[str, str]) -> Conditions:
    return {f"aws:ResourceTag/{key}": value for key, value in tags.items()}


def tag_conditions(tags: Mapping[str, str]) -> Conditions:
    """Of the tags that a request brings."""
    if not tags:
        return {}
    return {"aws:TagKeys": list(tags), **{f"aws:RequestTag/{key}": value for key, value in tags.items()}}
