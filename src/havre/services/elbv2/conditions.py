"""Rule conditions: what AWS takes, and how they are shown. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any

from havre.kernel.errors import not_built
from havre.services.elbv2.errors import validation
from havre.services.elbv2.resources import Condition

CONFIGS = {
    "path-pattern": "PathPatternConfig",
    "host-header": "HostHeaderConfig",
    "http-header": "HttpHeaderConfig",
    "http-request-method": "HttpRequestMethodConfig",
    "query-string": "QueryStringConfig",
    "source-ip": "SourceIpConfig",
}
MOST_VALUES, MOST_WILDCARDS = 5, 6
_LONGEST, _LONGEST_NAME = 128, 40
_OLD = ("host-header", "path-pattern")
"""Fields whose value may stand in Values, as it had to before there were configurations."""
_ONCE = ("host-header", "path-pattern", "http-request-method", "source-ip")
_HOST = re.compile(r"[A-Za-z0-9.*?-]+")
_PATH = re.compile(r"[A-Za-z0-9_.$/~\"'@:+&*?;=!,%()\[\]{}|^-]+")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_METHOD = re.compile(r"[A-Z_-]+")
_PRINTABLE = re.compile(r"[\x20-\x7e]*")


def parse(given: Sequence[Mapping[str, Any]]) -> tuple[Condition, ...]:
    """Raises ValidationError as AWS does."""
    conditions = tuple(_one(each) for each in given)
    for field in _ONCE:
        if sum(1 for c in conditions if c.field == field) > 1:
            raise validation(f"Rules cannot have more than one condition of the type '{field}'")
    if sum(len(c.values) for c in conditions) > MOST_VALUES:
        raise validation("A rule can only have '5' condition values")
    wildcards = sum(_wildcards(key) + _wildcards(value) for c in conditions for key, value in c.values)
    if wildcards > MOST_WILDCARDS:
        raise validation(f"A rule can only have '{MOST_WILDCARDS}' condition wildcards")
    return conditions


def _wildcards(text: str) -> int:
    return len(re.findall(r"\\.|([*?])", text)) - len(re.findall(r"\\.", text))


def _one(given: Mapping[str, Any]) -> Condition:
    field = given.get("Field") or ""
    if field not in CONFIGS:
        raise validation(f"Condition field '{field}' must be one of '[{', '.join(CONFIGS)}]'")
    for other, member in CONFIGS.items():
        if other != field and member in given:
            raise validation(f"You cannot specify '{member}' with the condition field '{field}'")
    config = given.get(CONFIGS[field], {})
    if given.get("RegexValues") or config.get("RegexValues"):
        raise not_built("elbv2", "regular expressions in rule conditions (RegexValues); wildcards work")
    if config.get("IpAddressType", "ipv4") != "ipv4":
        raise not_built("elbv2", "source-ip conditions on IPv6 addresses")
    values = _values(field, given, config)
    header = config.get("HttpHeaderName", "")
    _check_length("HttpHeaderName", header, _LONGEST_NAME)
    pairs = tuple(_pair(field, value) for value in values)
    if field == "http-header" and not _HEADER_NAME.fullmatch(header):
        raise validation(f"The HTTP header name '{header}' is not valid")
    if field == "http-header" and header.lower() == "host":
        raise validation("The HTTP header name cannot be 'Host'; use a host-header condition")
    return Condition(field, pairs, header)


def _values(field: str, given: Mapping[str, Any], config: Mapping[str, Any]) -> Sequence[Any]:
    old = given.get("Values") or ()
    if field not in _OLD and CONFIGS[field] not in given:
        raise validation(f"A '{CONFIGS[field]}' must be specified with '{field}'")
    if len(old) > 1:
        raise validation(f"The '{field}' field contains too many values; the limit is '1'")
    if old and config.get("Values"):
        raise validation("You cannot specify both Values and a configuration of the condition")
    values: Sequence[Any] = old or config.get("Values") or ()
    if not values:
        raise validation(f"A {'condition' if field in _OLD else repr(field)} value must be specified")
    return values


def _check_length(name: str, value: str, longest: int) -> None:
    if len(value) > longest:
        raise validation(f"The '{name}' value is too long; the limit is '{longest}'")


def _pair(field: str, value: Any) -> tuple[str, str]:
    if field == "query-string":
        key, text = (value.get("Key") or "", value.get("Value")) if isinstance(value, Mapping) else ("", value)
        if not text:
            raise validation("A 'Value' must be specified in 'QueryStringKeyValuePair'")
        _check_length("Key", key, _LONGEST)
        _check_length("Value", text, _LONGEST)
        if not _PRINTABLE.fullmatch(key) or not _PRINTABLE.fullmatch(text) or "=" in key:
            raise validation(f"Condition value '{key}={text}' contains a character that is not valid")
        return (key, text)
    _check_length(field, value, _LONGEST_NAME if field == "http-request-method" else _LONGEST)
    if field == "http-request-method" and not _METHOD.fullmatch(value):
        raise validation(f"The '{field}' value is invalid; the allowed characters are A-Z, hyphen and underscore")
    check = _CHECKS[field]
    if not check(value):
        raise validation(f"Condition value '{value}' is not valid for the condition field '{field}'")
    return (value, "")


def _host(value: str) -> bool:
    return bool(_HOST.fullmatch(value)) and "." in value and bool(re.search(r"\.[A-Za-z*?]+$", value))


def _cidr(value: str) -> bool:
    try:
        return "/" in value and ipaddress.ip_network(value, strict=False).version == 4
    except ValueError:
        return False


_CHECKS = {
    "path-pattern": lambda v: bool(_PATH.fullmatch(v)),
    "host-header": _host,
    "http-header": lambda v: bool(v) and bool(_PRINTABLE.fullmatch(v)),
    "http-request-method": bool,
    "source-ip": _cidr,
}


def shown(condition: Condition) -> dict[str, Any]:
    """As AWS shows it: path and host conditions both the old way (Values) and the new one."""
    if condition.field == "query-string":
        pairs = [{"Key": key, "Value": text} if key else {"Value": text} for key, text in condition.values]
        return {"Field": condition.field, "QueryStringConfig": {"Values": pairs}}
    values = [value for value, _ in condition.values]
    config: dict[str, Any] = {"Values": values}
    if condition.field == "http-header":
        config = {"HttpHeaderName": condition.header, "Values": values}
    result: dict[str, Any] = {"Field": condition.field, CONFIGS[condition.field]: config}
    if condition.field in ("path-pattern", "host-header"):
        result["Values"] = values
    return result
