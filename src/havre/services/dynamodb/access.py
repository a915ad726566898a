"""On which tables, and with which keys, IAM decides."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from havre.control.operation import Call, Request
from havre.kernel.errors import ApiError

_STATEMENT = re.compile(
    r"""\s*(?:SELECT\b.*?\bFROM|INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+(?P<table>"(?:[^"]+)"|[\w.-]+)(?:\."?(?P<index>[\w.-]+)"?)?""",
    re.IGNORECASE | re.DOTALL,
)
_PIECES = {
    "Get": "dynamodb:GetItem",
    "Put": "dynamodb:PutItem",
    "Update": "dynamodb:UpdateItem",
    "Delete": "dynamodb:DeleteItem",
    "ConditionCheck": "dynamodb:ConditionCheckItem",
}


def arn(call: Call, name: str) -> str:
    """Of a table by its name, or by its own ARN."""
    return name if name.startswith("arn:") else call.arn(f"table/{name}")


def table(call: Call, request: Request) -> tuple[str, ...]:
    return (arn(call, request["TableName"]),)


def index(call: Call, request: Request) -> tuple[str, ...]:
    of = arn(call, request["TableName"])
    name = request.get("IndexName")
    return (f"{of}/index/{name}",) if name else (of,)


def batch(call: Call, request: Request) -> tuple[str, ...]:
    return tuple(arn(call, name) for name in request["RequestItems"])


def backup(call: Call, request: Request) -> tuple[str, ...]:
    return (request["BackupArn"],)


def restored(call: Call, request: Request) -> tuple[str, ...]:
    source = request.get("BackupArn") or request.get("SourceTableArn") or request.get("SourceTableName") or "*"
    return (arn(call, source), arn(call, request["TargetTableName"]))


def tagged(call: Call, request: Request) -> tuple[str, ...]:
    return (request["ResourceArn"],)


def leading_keys(call: Call, request: Request) -> Mapping[str, str | list[str]]:
    """``dynamodb:LeadingKeys``. Which of an item's attributes is its partition key this side does not know: all of them are
    told that may be, so that a policy never allows more than on AWS."""
    values: list[Mapping[str, Any]] = []
    for holder in ("Key", "Item", "ExpressionAttributeValues"):
        if holder in request and (holder != "ExpressionAttributeValues" or call.operation == "Query"):
            values += request[holder].values()
    for asked in request.get("RequestItems", {}).values():
        for each in asked.get("Keys", ()) if isinstance(asked, Mapping) else _written(asked):
            values += each.values()
    for condition in request.get("KeyConditions", {}).values():
        values += condition.get("AttributeValueList", ())
    keys = [_text(value) for value in values]
    return {"dynamodb:LeadingKeys": [key for key in keys if key]} if keys else {}


def _written(requests: Iterable[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
    for each in requests:
        yield each.get("PutRequest", {}).get("Item", {})
        yield each.get("DeleteRequest", {}).get("Key", {})


def _text(value: Mapping[str, Any]) -> str:
    return str(value.get("S") or value.get("N") or "")


async def transaction(call: Call, request: Request) -> None:
    for each in request["TransactItems"]:
        for kind, piece in each.items():
            if isinstance(piece, Mapping):
                keys = [_text(value) for value in (piece.get("Key") or piece.get("Item") or {}).values()]
                leading = {"dynamodb:LeadingKeys": [key for key in keys if key]}
                await call.authorize(_PIECES[kind], [arn(call, piece["TableName"])], leading)


async def statements(call: Call, request: Request) -> None:
    """PartiQL says in its text what it does to which table."""
    if "Statement" in request:
        texts = [request["Statement"]]
    else:
        texts = [each["Statement"] for each in request.get("Statements") or request.get("TransactStatements") or ()]
    for text in texts:
        found = _STATEMENT.match(text)
        if found is None:
            raise ApiError(
                "ValidationException", "Statement wasn't well formed, can't be processed: Unexpected keyword"
            )
        verb = text.split(None, 1)[0].capitalize()
        of = arn(call, found["table"].strip('"'))
        of = f"{of}/index/{found['index']}" if found["index"] else of
        await call.authorize(f"dynamodb:PartiQL{verb}", [of], {})
