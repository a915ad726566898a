"""Event source mappings: which members each kind of source takes, their defaults and bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from havre.core import event_pattern
from havre.kernel.arn import Arn
from havre.services.lambda_.errors import absent, invalid
from havre.services.lambda_.resources import MappingSpec
from havre.services.lambda_.rules import destinations

QUEUE, STREAMS = "sqs", ("kinesis", "dynamodb")
EVENT_COUNT = "EventCount"
"""The group of metrics that these sources have."""
MOST_FILTERS = 5
LEAST_POLLERS, MOST_POLLERS = 2, 200
"""Of a queue where they are provisioned, and nothing else is said."""
_FIFO = 10
_LARGEST = {"sqs": 10_000, "kinesis": 10_000, "dynamodb": 10_000}
_DEFAULT = {"sqs": 10, "kinesis": 100, "dynamodb": 100}
_OF_STREAMS = (
    "ParallelizationFactor", "MaximumRecordAgeInSeconds", "BisectBatchOnFunctionError", "MaximumRetryAttempts",
    "TumblingWindowInSeconds", "DestinationConfig",
)  # fmt: skip
_OF_QUEUES = ("ScalingConfig", "ProvisionedPollerConfig")
_ELSEWHERE = (
    "Topics", "Queues", "SourceAccessConfigurations", "SelfManagedEventSource", "AmazonManagedKafkaEventSourceConfig",
    "SelfManagedKafkaEventSourceConfig", "DocumentDBEventSourceConfig", "LoggingConfig",
)  # fmt: skip
_PLAIN = (
    ("Enabled", "enabled"),
    ("BatchSize", "batch"),
    ("MaximumBatchingWindowInSeconds", "window"),
    ("ParallelizationFactor", "parallelization"),
    ("BisectBatchOnFunctionError", "bisect"),
    ("MaximumRetryAttempts", "retries"),
    ("MaximumRecordAgeInSeconds", "record_age"),
    ("TumblingWindowInSeconds", "tumbling"),
)


def kind_of(request: Mapping[str, Any]) -> str:
    """sqs, kinesis or dynamodb. Raises ApiError for sources that Havre does not read."""
    arn = request.get("EventSourceArn")
    if request.get("SelfManagedEventSource"):
        raise absent("event sources in Kafka")
    if not arn:
        raise invalid("Unrecognized event source.")
    service = Arn.parse(arn).service
    if service in ("kafka", "mq", "rds"):
        named = {"kafka": "Kafka", "mq": "MQ", "rds": "DocumentDB"}[service]
        raise absent(f"event sources in {named}")
    if service not in (QUEUE, *STREAMS):
        raise invalid("Unrecognized event source, must be kinesis, dynamodb stream or sqs.")
    if service == "dynamodb" and "/stream/" not in arn:
        raise invalid(f"Unrecognized event source: {arn} is not the ARN of a stream.")
    return service


def fresh(request: Mapping[str, Any], kind: str, spec: MappingSpec) -> MappingSpec:
    """``spec`` has names and times alone. Raises ApiError."""
    starting = _starting(request, kind)
    spec = replace(spec, batch=_DEFAULT[kind], **starting)
    return changed(request, spec)


def _starting(request: Mapping[str, Any], kind: str) -> dict[str, Any]:
    position, at = request.get("StartingPosition"), request.get("StartingPositionTimestamp")
    if kind == QUEUE:
        if position or at is not None:
            raise invalid("StartingPosition is not valid for SQS event sources.")
        return {}
    if not position:
        raise invalid(
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: Member must not be "
            "null."
        )
    if position == "AT_TIMESTAMP":
        if kind == "dynamodb":
            raise invalid(f"Unsupported starting position for arn type: {request['EventSourceArn']}")
        if at is None:
            raise invalid("StartingPositionTimestamp is required with StartingPosition AT_TIMESTAMP")
        if float(at) < 0:
            raise invalid(
                "Received Exception while reading from provided stream. class java.lang.Long can not be converted to a "
                "Timestamp"
            )
    elif at is not None:
        raise invalid("Timestamp only valid with StartingPosition AT_TIMESTAMP")
    return {"position": position, "position_at": None if at is None else float(at)}


def changed(request: Mapping[str, Any], spec: MappingSpec) -> MappingSpec:
    """``spec`` with what the request brings. Raises ApiError."""
    for member in (*_ELSEWHERE, *(_OF_STREAMS if spec.kind == QUEUE else _OF_QUEUES)):
        if _given(request.get(member)):
            raise invalid(f"Unsupported {member} parameter for given event source mapping type.")
    changes: dict[str, Any] = {field: request[member] for member, field in _PLAIN if request.get(member) is not None}
    if request.get("FilterCriteria") is not None:
        changes["filters"] = filters(request["FilterCriteria"])
    if request.get("FunctionResponseTypes") is not None:
        changes["partial_failures"] = "ReportBatchItemFailures" in request["FunctionResponseTypes"]
    if request.get("DestinationConfig") is not None:
        changes["on_failure"] = destinations.of_stream(request["DestinationConfig"])
    if request.get("ScalingConfig") is not None:
        changes["maximum_concurrency"] = request["ScalingConfig"].get("MaximumConcurrency")
    if request.get("MetricsConfig") is not None:
        changes["metrics"] = _metrics(request["MetricsConfig"])
    if request.get("ProvisionedPollerConfig") is not None:
        changes |= _pollers(request["ProvisionedPollerConfig"])
    made = replace(spec, **changes)
    check(made)
    return made


def _given(value: Any) -> bool:
    """A number is, even if it is 0; what is empty or false says nothing."""
    return value is not None and value is not False and value not in ({}, [], ())


def _metrics(given: Mapping[str, Any]) -> tuple[str, ...]:
    """Raises ApiError."""
    wanted = tuple(dict.fromkeys(given.get("Metrics") or ()))
    for group in wanted:
        if group != EVENT_COUNT:
            raise invalid(f"Unsupported metric {group} for given event source mapping type.")
    return wanted


def _pollers(given: Mapping[str, Any]) -> dict[str, Any]:
    """Empty: they are provisioned no more. Raises ApiError."""
    if given.get("PollerGroupName"):
        raise invalid("PollerGroupName is not supported for given event source mapping type.")
    if not given:
        return {"minimum_pollers": None, "maximum_pollers": None}
    least = given.get("MinimumPollers")
    most = given.get("MaximumPollers") or max(MOST_POLLERS, least or 0)
    least = min(LEAST_POLLERS, most) if least is None else least
    if least < LEAST_POLLERS or most < LEAST_POLLERS:
        raise invalid(f"MinimumPollers and MaximumPollers must be at least {LEAST_POLLERS} for SQS event sources.")
    if least > most:
        raise invalid("MinimumPollers must not be greater than MaximumPollers.")
    return {"minimum_pollers": least, "maximum_pollers": most}


def filters(given: Mapping[str, Any]) -> tuple[str, ...]:
    """Raises ApiError."""
    patterns = tuple(each.get("Pattern") or "{}" for each in given.get("Filters") or ())
    if len(patterns) > MOST_FILTERS:
        raise invalid(f"The number of filters exceeds the limit of {MOST_FILTERS}.")
    for pattern in patterns:
        try:
            event_pattern.compile(pattern)
        except event_pattern.PatternError as error:
            raise invalid(f"Invalid filter pattern definition. {error}") from None
    return patterns


def check(spec: MappingSpec) -> None:
    """What must hold of the whole. Raises ApiError."""
    fifo = spec.kind == QUEUE and spec.source.endswith(".fifo")
    most = _FIFO if fifo else _LARGEST[spec.kind]
    if spec.batch > most:
        raise invalid(f"Maximum batch size for this event source is {most}.")
    if fifo and spec.window:
        raise invalid("Batching window is not supported for FIFO queues.")
    if spec.kind == QUEUE and spec.batch > 10 and not spec.window:
        raise invalid("Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10")
    if spec.minimum_pollers is not None and spec.maximum_concurrency is not None:
        raise invalid(
            "ScalingConfig and ProvisionedPollerConfig cannot be used together: pollers limit the concurrency."
        )
    if 0 <= spec.record_age < 60:
        raise invalid("MaximumRecordAgeInSeconds must be -1, or at least 60.")
    if spec.tumbling and spec.parallelization > 1:
        raise invalid("Tumbling windows are not supported with a ParallelizationFactor greater than 1.")
