"""What may be said of rules and targets. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from havre.control.targets import kind
from havre.core.event_input import JsonPath, PathError, Template, TemplateError
from havre.core.event_pattern import PatternError, compile
from havre.core.schedules import ScheduleError, parse
from havre.kernel.errors import not_built
from havre.services.events.errors import bad_pattern, validation
from havre.services.events.resources import DEFAULT

MOST_TARGETS = 5
MOST_RULES = 2000
_ABSENT = (
    "RunCommandParameters", "BatchParameters", "HttpParameters", "RedshiftDataParameters", "SageMakerPipelineParameters",
    "AppSyncParameters",
)  # fmt: skip


def check_pattern(text: str) -> None:
    """Raises ApiError InvalidEventPatternException."""
    try:
        compile(text)
    except PatternError as error:
        raise bad_pattern(str(error)) from None


def check_schedule(expression: str, bus: str) -> None:
    """Raises ApiError."""
    if bus != DEFAULT:
        raise validation("ScheduleExpression is supported only on the default event bus.")
    try:
        parse(expression, 0.0)
    except ScheduleError:
        raise validation("Parameter ScheduleExpression is not valid.") from None


def check_target(target: Mapping[str, Any]) -> None:
    """Raises ApiError."""
    id, arn = target["Id"], target["Arn"]
    for member in _ABSENT:
        if target.get(member) is not None:
            raise not_built("events", f"PutTargets {member}")
    parts = arn.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn" or not parts[2] or not parts[5]:
        raise validation(f"Parameter {arn} is not valid. Reason: Provided Arn is not in correct format.")
    which = kind(arn)
    if which is None:
        raise not_built("events", f"targets such as {arn[:200]}")
    _check_input(target)
    if which in ("ecs", "kinesis") and not target.get("RoleArn"):
        raise validation(f"RoleArn is required for target {id}.")
    if which == "ecs" and not target.get("EcsParameters"):
        raise validation(f"EcsParameters is required for target {id}.")
    group = (target.get("SqsParameters") or {}).get("MessageGroupId")
    if which == "sqs" and arn.endswith(".fifo") and not group:
        raise validation(f"Parameter(s) SqsParameters must be specified for target: {id}.")
    dead = (target.get("DeadLetterConfig") or {}).get("Arn")
    if dead:
        check_dead_letters(dead)


def check_dead_letters(arn: str) -> None:
    """Raises ApiError."""
    if kind(arn) != "sqs" or arn.endswith(".fifo"):
        raise validation(f"Invalid DeadLetterConfig: {arn[:200]} is not the ARN of a standard SQS queue.")


def _check_input(target: Mapping[str, Any]) -> None:
    id, text = target["Id"], target.get("Input")
    path, transformer = target.get("InputPath"), target.get("InputTransformer")
    if sum(each is not None for each in (text, path, transformer)) > 1:
        raise validation(f"Only one of Input, InputPath, or InputTransformer must be provided for target {id}.")
    if text:
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            raise validation(f"JSON syntax error in input for target {id}") from None
    try:
        if path:
            JsonPath(path)
        if transformer is not None:
            Template(transformer["InputTemplate"], transformer.get("InputPathsMap") or {})
        key = (target.get("KinesisParameters") or {}).get("PartitionKeyPath")
        if key:
            JsonPath(key)
    except PathError as error:
        raise validation(f"Invalid path for target {id}: {error}") from None
    except TemplateError as error:
        raise validation(f"InputTemplate for target {id} {error}.") from None
