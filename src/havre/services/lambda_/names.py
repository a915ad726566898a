"""Names of functions and layers in every form that AWS takes."""

from __future__ import annotations

import re
from typing import NamedTuple

from havre.services.lambda_.errors import invalid

_FUNCTION = re.compile(
    r"(?:arn:aws[a-zA-Z-]*:lambda:)?"
    r"(?:(?P<region>(?:eusc-)?[a-z]{2}(?:(?:-gov)|(?:-iso[a-z]?))?-[a-z]+-\d):)?"
    r"(?:(?P<account>\d{12}):)?"
    r"(?:function:)?"
    r"(?P<name>[a-zA-Z0-9-_]+)"
    r"(?::(?P<qualifier>\$LATEST(?:\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
)
_LAYER_VERSION = re.compile(r"arn:aws[a-zA-Z-]*:lambda:([a-z0-9-]+):(\d{12}):layer:([a-zA-Z0-9-_]+)(?::(\d+))?")
LONGEST = 64


class FunctionName(NamedTuple):
    """ "" stands for what the name does not say."""

    name: str
    qualifier: str = ""
    account: str = ""
    region: str = ""


class LayerName(NamedTuple):
    """``number`` is 0 where the name does not say it; account and region "" likewise."""

    name: str
    number: int = 0
    account: str = ""
    region: str = ""


def parse_function(text: str) -> FunctionName:
    """``text``: a name, a partial ARN (``123456789012:function:name``) or an ARN, each with or without a qualifier. Raises
    ApiError for what is none of these."""
    found = _FUNCTION.fullmatch(text)
    if found is None:
        raise invalid(f"Invalid function name: {text}")
    if len(found["name"]) > LONGEST:
        raise invalid(
            f"1 validation error detected: Value '{found['name']}' at 'functionName' failed to satisfy constraint: "
            f"Member must have length less than or equal to {LONGEST}"
        )
    return FunctionName(found["name"], found["qualifier"] or "", found["account"] or "", found["region"] or "")


def parse_layer(text: str) -> LayerName:
    """``text``: a name, the ARN of a layer, or of one of its versions."""
    found = _LAYER_VERSION.fullmatch(text)
    if found is None:
        return LayerName(text)
    region, account, name, number = found.groups()
    return LayerName(name, int(number or 0), account, region)


def one_qualifier(derived: str, given: str) -> str:
    """Of the name's own and the request's. Raises ApiError when they differ."""
    if derived and given and derived != given:
        raise invalid("The derived qualifier from the function name does not match the specified qualifier.")
    return given or derived
