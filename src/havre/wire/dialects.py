"""What a service's front says where its model does not tell: error codes of bad input, their words, namespaces.

A service that is not in the table speaks as its protocol's default does. To add one is to add a line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from havre.kernel.errors import ApiError
from havre.wire.checks import Rules, Violation
from havre.wire.models import ServiceModel
from havre.wire.shapes import Shape


def _ec2_name(name: str, shape: Shape) -> str:
    traits = shape.traits
    if "queryName" in traits:
        return str(traits["queryName"])
    wire: str = traits.get("locationName", name)
    return wire[:1].upper() + wire[1:]


CORAL = Rules()
EC2 = Rules(lengths=False, patterns=False, enums=False, named=_ec2_name, item="")
ECR = Rules(named=lambda name, shape: name)
S3 = Rules(lengths=False, ranges=False, patterns=False, enums=False, named=lambda name, shape: name, item="")

UNKNOWN = "Could not find operation {action} for version {version}"


class Dialect(msgspec.Struct, frozen=True):
    """``invalid``: code for a broken constraint. ``missing``: for an absent required member ("" the same). ``malformed``:
    for what cannot be read as the model's types. ``unreadable``: for a body that is no JSON, XML or CBOR at all ("" as
    malformed). ``by_operation``: operation → code instead of ``invalid`` and ``missing``.

    ``words``: coral, ec2, ecr or s3. ``namespace`` stands before ``#`` in the ``__type`` of modelled errors,
    ``front`` before that of the errors of this table.
    """

    invalid: str
    missing: str = ""
    malformed: str = "SerializationException"
    unreadable: str = ""
    by_operation: Mapping[str, str] = {}
    rules: Rules = CORAL
    words: str = "coral"
    namespace: str = ""
    front: str = ""
    unsaid: tuple[str, ...] = ()
    """Members whose values errors leave out; ``*`` is all of them."""
    typed: bool = False
    """Whether errors carry ``Type`` (User or Service), as Lambda's do."""
    query_codes: Mapping[str, str] = {}
    """Error shape → the code it had when the service spoke query, where the model does not tell."""
    query_words: Mapping[str, str] = {}
    """Error shape → what the query protocol says of it, where that is something else."""
    type_names: Mapping[str, str] = {}
    """Code that the model does not have → what ``__type`` calls it, where that is another name."""
    unknown: str = UNKNOWN
    """What the query protocol says of an Action that there is not."""
    detail: bool = False
    """Whether errors in the query protocol have a ``Detail``, which is empty."""
    dated: bool = True
    """Whether an Action is one of the Version of the model alone. Others took their actions over from version to version."""
    headers: Mapping[str, str] = {}
    """Member of answers that the model does not have → the header that tells it."""


_JSON = Dialect("ValidationException")
_QUERY = Dialect("ValidationError", malformed="MalformedInput")
_VALIDATE = "com.amazon.coral.validate#ValidationException"

_BY_PROTOCOL = {
    "json": _JSON,
    "rest-json": _JSON,
    "smithy-rpc-v2-cbor": _JSON,
    "query": _QUERY,
    "ec2": Dialect(
        "InvalidParameterValue",
        "MissingParameter",
        "InvalidParameterValue",
        rules=EC2,
        words="ec2",
        dated=False,
        unknown="The action {action} is not valid for this web service.",
    ),
    "rest-xml": Dialect("InvalidRequest", malformed="InvalidArgument", unreadable="MalformedXML"),
}

_BY_SERVICE = {
    "apigatewayv2": Dialect("BadRequestException", malformed="BadRequestException"),
    "dynamodb": Dialect(
        "ValidationException", namespace="com.amazonaws.dynamodb.v20120810", front="com.amazon.coral.validate"
    ),
    "ecr": Dialect("InvalidParameterException", rules=ECR, words="ecr"),
    "ecs": Dialect("InvalidParameterException", by_operation={"RegisterTaskDefinition": "ClientException"}),
    "eks": Dialect("InvalidParameterException", malformed="InvalidRequestException"),
    "lambda": Dialect(
        "ValidationException",
        unreadable="InvalidRequestContentException",
        typed=True,
        rules=Rules(loose=frozenset(("Runtime",)), whole=True),
        headers={"TraceHeader": "X-Amzn-Trace-Id"},
    ),
    "iam": Dialect("ValidationError", malformed="MalformedInput", unsaid=("*",)),
    "logs": Dialect("InvalidParameterException", unsaid=("logGroupIdentifier", "logGroupIdentifiers")),
    "s3": Dialect("InvalidArgument", "InvalidRequest", "InvalidArgument", "MalformedXML", rules=S3, words="s3"),
    "sns": Dialect("ValidationError", malformed="MalformedInput"),
    "sqs": Dialect(
        "InvalidParameterValue",
        "MissingParameter",
        rules=Rules(enums=False),
        namespace="com.amazonaws.sqs",
        unknown="The action {action} is not valid for this endpoint.",
        front="com.amazon.coral.service",
        detail=True,
        dated=False,
        query_codes={
            "QueueDoesNotExist": "AWS.SimpleQueueService.NonExistentQueue",
            "QueueDeletedRecently": "AWS.SimpleQueueService.QueueDeletedRecently",
            "QueueNameExists": "QueueAlreadyExists",
            "MessageNotInflight": "AWS.SimpleQueueService.MessageNotInflight",
            "PurgeQueueInProgress": "AWS.SimpleQueueService.PurgeQueueInProgress",
            "BatchEntryIdsNotDistinct": "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
            "BatchRequestTooLong": "AWS.SimpleQueueService.BatchRequestTooLong",
            "EmptyBatchRequest": "AWS.SimpleQueueService.EmptyBatchRequest",
            "InvalidBatchEntryId": "AWS.SimpleQueueService.InvalidBatchEntryId",
            "TooManyEntriesInBatchRequest": "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
            "UnsupportedOperation": "AWS.SimpleQueueService.UnsupportedOperation",
            "KmsAccessDenied": "KMS.AccessDeniedException",
            "KmsDisabled": "KMS.DisabledException",
            "KmsInvalidKeyUsage": "KMS.InvalidKeyUsageException",
            "KmsInvalidState": "KMS.KMSInvalidStateException",
            "KmsNotFound": "KMS.NotFoundException",
        },
        query_words={"QueueDoesNotExist": "The specified queue does not exist for this wsdl version."},
        type_names={
            "InvalidParameterValue": "InvalidParameterValueException",
            "MissingParameter": "MissingRequiredParameterException",
        },
    ),
}


def dialect(model: ServiceModel, protocol: str) -> Dialect:
    found = _BY_SERVICE.get(model.name)
    old = protocol in ("query", "ec2") and model.protocol not in ("query", "ec2")
    if found is None or (old and not found.query_codes):
        found = _BY_PROTOCOL.get(protocol, _JSON)
    return found


def refuse(spoken: Dialect, operation: str, violations: Sequence[Violation]) -> ApiError:
    """The error for broken constraints, as the service words it. ``violations`` is not empty."""
    missing = next((each for each in violations if each.kind == "missing"), None)
    code = spoken.by_operation.get(operation) or (spoken.missing or spoken.invalid if missing else spoken.invalid)
    first = missing or violations[0]
    if spoken.words == "ec2":
        return _ec2(code, first)
    if spoken.words == "ecr":
        must = first.constraint.replace("Member must ", "must ", 1)
        start, pattern, text = must.partition("regular expression pattern: ")
        must = f"{start}regular expression '{text}'" if pattern else must
        return ApiError(code, f"Invalid parameter at '{first.path}' failed to satisfy constraint: '{must}'")
    if spoken.words == "s3":
        told = "Missing required parameter" if first is missing else "Invalid value of parameter"
        return ApiError(code, f"{told} {first.path}", 400)
    if spoken.missing == "MissingParameter" and missing is not None:
        return ApiError(code, f"The request must contain the parameter {missing.member}.")
    return ApiError(code, _coral(violations, spoken.unsaid))


def _coral(violations: Sequence[Violation], unsaid: tuple[str, ...]) -> str:
    told = []
    for each in violations:
        if each.hidden or "*" in unsaid or each.member in unsaid:
            value = "Value"
        elif each.value is None:
            value = "Value null"
        else:
            value = f"Value '{_shown(each.value)}'"
        told.append(f"{value} at '{each.path}' failed to satisfy constraint: {each.constraint}")
    number = "1 validation error" if len(told) == 1 else f"{len(told)} validation errors"
    return f"{number} detected: " + "; ".join(told)


def _ec2(code: str, first: Violation) -> ApiError:
    if first.kind == "missing":
        return ApiError(code, f"The request must contain the parameter {first.path}")
    if first.kind == "range":
        told = first.constraint.replace("Member must have value", "Expecting a value")
        return ApiError(code, f"Value ( {first.value} ) for parameter {first.path} is invalid. {told}.")
    return ApiError(code, f"Value ({_shown(first.value)}) for parameter {first.path} is invalid.")


def _shown(value: Any) -> str:
    """A value as Java prints it, cut so that an error never echoes a whole request."""
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, (bytes, bytearray)):
        text = f"java.nio.HeapByteBuffer[pos=0 lim={len(value)} cap={len(value)}]"
    elif isinstance(value, Mapping):
        text = "{" + ", ".join(f"{key}={_shown(each)}" for key, each in value.items()) + "}"
    elif isinstance(value, (list, tuple)):
        text = "[" + ", ".join(_shown(each) for each in value) + "]"
    else:
        text = str(value)
    return text if len(text) <= 1024 else text[:1024] + "…"
