"""Lambda's condition keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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


def tag_conditions(tags: Mapping[str, str]) -> Conditions:
    """Of the tags that a request brings."""
    if not tags:
        return {}
    return {"aws:TagKeys": list(tags), **{f"aws:RequestTag/{key}": value for key, value in tags.items()}}
