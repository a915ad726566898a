"""SQS as it spoke before JSON: the query protocol, which many clients still speak.

botocore's model no longer tells the names that parameters and elements had then; they are here. Its errors' codes of
then are in ``dialects``.
"""

from __future__ import annotations

import marshal
from collections.abc import Mapping
from typing import Any

import msgspec

from havre.wire.http import HttpRequest, HttpResponse
from havre.wire.model_files import ModelFile
from havre.wire.models import OperationModel, ServiceModel
from havre.wire.routing import Route

_ITEMS = {
    # list: the name of its items
    "AWSAccountIdList": "AWSAccountId",
    "ActionNameList": "ActionName",
    "AttributeNameList": "AttributeName",
    "BatchResultErrorEntryList": "BatchResultErrorEntry",
    "BinaryList": "BinaryListValue",
    "ChangeMessageVisibilityBatchRequestEntryList": "ChangeMessageVisibilityBatchRequestEntry",
    "ChangeMessageVisibilityBatchResultEntryList": "ChangeMessageVisibilityBatchResultEntry",
    "DeleteMessageBatchRequestEntryList": "DeleteMessageBatchRequestEntry",
    "DeleteMessageBatchResultEntryList": "DeleteMessageBatchResultEntry",
    "ListMessageMoveTasksResultEntryList": "ListMessageMoveTasksResultEntry",
    "MessageAttributeNameList": "MessageAttributeName",
    "MessageList": "Message",
    "MessageSystemAttributeList": "MessageSystemAttributeName",
    "QueueUrlList": "QueueUrl",
    "SendMessageBatchRequestEntryList": "SendMessageBatchRequestEntry",
    "SendMessageBatchResultEntryList": "SendMessageBatchResultEntry",
    "StringList": "StringListValue",
    "TagKeyList": "TagKey",
}
_ENTRIES = {
    # map: the names of key and value
    "MessageBodyAttributeMap": ("Name", "Value"),
    "MessageBodySystemAttributeMap": ("Name", "Value"),
    "MessageSystemAttributeMap": ("Name", "Value"),
    "QueueAttributeMap": ("Name", "Value"),
    "TagMap": ("Key", "Value"),
}
_MEMBERS = {
    # members that are maps: the name of one entry
    "Attributes": "Attribute",
    "MessageAttributes": "MessageAttribute",
    "MessageSystemAttributes": "MessageSystemAttribute",
    "Tags": "Tag",
    "tags": "Tag",
}


class SqsQuery:
    """``spoken`` is the query protocol over the model that ``queried`` makes."""

    def __init__(self, model: ServiceModel, spoken: Any) -> None:
        self._model = model
        self._spoken = spoken

    def parse(self, operation: OperationModel, route: Route, request: HttpRequest) -> dict[str, Any]:
        """Clients of then post to the queue's own URL, and may leave QueueUrl out."""
        names = {name for name, _ in route.form}
        if "QueueUrl" not in names and request.path.count("/") >= 2:
            route = msgspec.structs.replace(route, form=[*route.form, ("QueueUrl", request.path)])
        parsed: dict[str, Any] = self._spoken.parse(self._model.operations[operation.name], route, request)
        return parsed

    def render(self, operation: OperationModel, answer: Mapping[str, Any], request_id: str) -> HttpResponse:
        response: HttpResponse = self._spoken.render(self._model.operations[operation.name], answer, request_id)
        return response


def queried(file: ModelFile) -> ModelFile:
    """The model with the names of then."""
    shapes = {name: marshal.dumps(_named(name, marshal.loads(data))) for name, data in file.shapes.items()}  # noqa: S302
    operations = {name: marshal.dumps(_wrapped(name, marshal.loads(data))) for name, data in file.operations.items()}  # noqa: S302
    return msgspec.structs.replace(file, shapes=shapes, operations=operations)


def _named(name: str, shape: dict[str, Any]) -> dict[str, Any]:
    if name in _ITEMS:
        return {**shape, "member": {**shape["member"], "locationName": _ITEMS[name]}}
    if name in _ENTRIES:
        key, value = _ENTRIES[name]
        named = {"key": {**shape["key"], "locationName": key}, "value": {**shape["value"], "locationName": value}}
        return {**shape, **named}
    if shape["type"] != "structure" or "members" not in shape:
        return shape
    members = {
        member: {**reference, "locationName": _MEMBERS[member]} if member in _MEMBERS else reference
        for member, reference in shape["members"].items()
    }
    if name in ("MessageAttributeValue", "MessageSystemAttributeValue"):
        for member in ("StringListValues", "BinaryListValues"):
            item = member.removesuffix("s")
            members[member] = {**members[member], "flattened": True, "locationName": item}
    return {**shape, "members": members}


def _wrapped(name: str, operation: dict[str, Any]) -> dict[str, Any]:
    if "output" not in operation:
        return operation
    return {**operation, "output": {**operation["output"], "resultWrapper": f"{name}Result"}}
