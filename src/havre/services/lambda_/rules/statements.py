"""Statements of resource policies: from AddPermission's members to policy language."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from havre.core.policy import PolicyError, parse
from havre.kernel.errors import ApiError
from havre.services.lambda_.errors import conflict, invalid, not_found
from havre.services.lambda_.resources import Policy, Statement

LONGEST = 20_480
_ACCOUNT = re.compile(r"\d{12}").fullmatch
_SERVICE = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:amazonaws\.com(?:\.cn)?|amazon\.com)").fullmatch
"""Alexa's are of amazon.com."""
_IAM = re.compile(r"arn:aws[a-zA-Z-]*:(?:iam|sts)::\d{12}:.+").fullmatch
_CONDITIONS = (
    ("FunctionUrlAuthType", "StringEquals", "lambda:FunctionUrlAuthType"),
    ("InvokedViaFunctionUrl", "Bool", "lambda:InvokedViaFunctionUrl"),
    ("PrincipalOrgID", "StringEquals", "aws:PrincipalOrgID"),
    ("OrganizationId", "StringEquals", "aws:PrincipalOrgID"),
    ("SourceAccount", "StringEquals", "AWS:SourceAccount"),
    ("EventSourceToken", "StringEquals", "lambda:EventSourceToken"),
    ("SourceArn", "ArnLike", "AWS:SourceArn"),
)
"""Member, operator, key."""


def statement(given: Mapping[str, Any], resource: str) -> Statement:
    """Of the members of AddPermission or AddLayerVersionPermission. Raises ApiError."""
    if given.get("FunctionUrlAuthType") and given["Action"] != "lambda:InvokeFunctionUrl":
        raise invalid("FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action")
    if given.get("InvokedViaFunctionUrl") and given["Action"] != "lambda:InvokeFunction":
        raise invalid("InvokedViaFunctionUrl is only supported for lambda:InvokeFunction action")
    if (given.get("PrincipalOrgID") or given.get("OrganizationId")) and given["Principal"] != "*":
        raise invalid("An organization can be specified only when the principal is *.")
    conditions: dict[str, dict[str, str]] = {}
    for member, operator, key in _CONDITIONS:
        value = given.get(member)
        if value is not None and value != "":
            conditions.setdefault(operator, {})[key] = str(value).lower() if isinstance(value, bool) else value
    document = {
        "Sid": given["StatementId"],
        "Effect": "Allow",
        "Principal": principal(given["Principal"]),
        "Action": given["Action"],
        "Resource": resource,
        **({"Condition": conditions} if conditions else {}),
    }
    return Statement(given["StatementId"], json.dumps(document, separators=(",", ":")))


def principal(text: str) -> str | dict[str, str]:
    """Raises ApiError."""
    if text == "*":
        return text
    if _ACCOUNT(text):
        return {"AWS": f"arn:aws:iam::{text}:root"}
    if _SERVICE(text):
        return {"Service": text}
    if _IAM(text):
        return {"AWS": text}
    raise invalid("The provided principal was invalid. Please check the principal and try again.")


def document(statements: Sequence[Statement]) -> str:
    """As GetPolicy shows it."""
    text = ",".join(s.document for s in statements)
    return f'{{"Version":"2012-10-17","Id":"default","Statement":[{text}]}}'


def added(policy: Policy, new: Statement, revision: str) -> Policy:
    """Raises ApiError for a label that is taken and for a policy that grows too long."""
    if any(s.sid == new.sid for s in policy.statements):
        raise conflict(
            f"The statement id ({new.sid}) provided already exists. Please provide a new statement id, or remove the "
            "existing statement."
        )
    return _checked(Policy((*policy.statements, new), revision))


def removed(policy: Policy, sid: str, revision: str) -> Policy:
    """Raises ApiError for a statement that is not there."""
    left = tuple(s for s in policy.statements if s.sid != sid)
    if len(left) == len(policy.statements):
        raise not_found(f"Statement {sid} is not found in resource policy.")
    return Policy(left, revision)


def given(text: str, resource: str, revision: str) -> Policy:
    """Of a whole document; each of its statements is about ``resource`` alone. Raises ApiError."""
    try:
        parse(text, "resource")
    except PolicyError as error:
        raise invalid(f"The provided policy document is not valid: {error}") from None
    raw = json.loads(text)
    found = raw["Statement"] if isinstance(raw["Statement"], list) else [raw["Statement"]]
    for each in found:
        about = each.get("Resource")
        if about not in (resource, [resource]):
            raise invalid(f"The provided policy document is not valid: each statement's Resource has to be {resource}.")
    statements = tuple(Statement(each.get("Sid", ""), json.dumps(each, separators=(",", ":"))) for each in found)
    return _checked(Policy(statements, revision))


def _checked(policy: Policy) -> Policy:
    text = document(policy.statements)
    if len(text) > LONGEST:
        raise ApiError(
            "PolicyLengthExceededException",
            f"The final policy size ({len(text)}) is bigger than the limit ({LONGEST}).",
        )
    try:
        parse(text, "resource")
    except PolicyError as error:
        raise invalid(f"The statement is not valid: {error}") from None
    return policy
