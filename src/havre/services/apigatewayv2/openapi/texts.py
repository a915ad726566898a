"""Documents as texts: JSON or YAML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from havre.services.apigatewayv2.errors import bad

MOST = 6 << 20
"""Bytes."""
DEEPEST = 100


def parse(text: str) -> Mapping[str, Any]:
    """Raises ApiError."""
    if len(text.encode("utf-8", "replace")) > MOST:
        raise bad(f"The body must not be larger than {MOST} bytes")
    try:
        document = json.loads(text)
    except RecursionError:
        raise bad("Unable to parse API definition: it is nested too deeply") from None
    except ValueError:
        document = _yaml(text)
    if not isinstance(document, Mapping):
        raise bad("Unable to parse API definition: it is no object")
    return document


def _yaml(text: str) -> Any:
    """Without anchors: a few of them can stand for more than any memory holds."""
    import yaml

    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise bad("Unable to parse API definition: aliases are not supported")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise bad("Unable to parse API definition: it is nested too deeply")
        return _plain(yaml.safe_load(text))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        where = str(error).splitlines()[0][:200] if str(error) else ""
        raise bad(f"Unable to parse API definition: {where}") from None


def _plain(value: Any) -> Any:
    """As JSON would have it: YAML reads statuses as numbers, and versions as dates."""
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def write(document: Mapping[str, Any], kind: str) -> bytes:
    """``kind``: JSON or YAML."""
    if kind == "JSON":
        return json.dumps(document, indent=2).encode()
    import yaml

    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    return text.encode()
