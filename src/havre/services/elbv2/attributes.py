"""Attributes of load balancers, target groups and listeners: defaults, what is valid, and what Havre does not do. Pure.

Each attribute has an effect; where Havre has none for a value, that value is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import msgspec

from havre.kernel.errors import ApiError, not_built
from havre.services.elbv2.errors import configuration, validation

Check = Callable[[str], bool]


class Attribute(msgspec.Struct, frozen=True):
    """``valid`` is what AWS takes, ``built`` what Havre does, ``told`` AWS's words for what it does not take, where it has
    some of their own."""

    default: str
    valid: Check
    built: Check = lambda value: True
    told: str = ""


def _one_of(*values: str) -> Check:
    return lambda value: value in values


def _between(low: int, high: int) -> Check:
    return lambda value: value.isascii() and value.isdigit() and low <= int(value) <= high


def _any(value: str) -> bool:
    return True


_COOKIE = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{0,256}")
_BOOL = _one_of("true", "false")
_OFF = Attribute("false", _BOOL, _one_of("false"))
_NAME = Attribute("", _any, _one_of(""))

APPLICATION: Mapping[str, Attribute] = {
    "access_logs.s3.enabled": _OFF,
    "access_logs.s3.bucket": _NAME,
    "access_logs.s3.prefix": _NAME,
    "client_keep_alive.seconds": Attribute("3600", _between(60, 604800), _one_of("3600")),
    "connection_logs.s3.enabled": _OFF,
    "connection_logs.s3.bucket": _NAME,
    "connection_logs.s3.prefix": _NAME,
    "deletion_protection.enabled": Attribute("false", _BOOL),
    "health_check_logs.s3.enabled": _OFF,
    "health_check_logs.s3.bucket": _NAME,
    "health_check_logs.s3.prefix": _NAME,
    "idle_timeout.timeout_seconds": Attribute("60", _between(1, 4000)),
    "ipv6.deny_all_igw_traffic": _OFF,
    "load_balancing.cross_zone.enabled": Attribute("true", _one_of("true")),
    "routing.http.desync_mitigation_mode": Attribute(
        "defensive", _one_of("monitor", "defensive", "strictest"), _one_of("defensive", "strictest")
    ),
    "routing.http.drop_invalid_header_fields.enabled": Attribute("false", _BOOL),
    "routing.http.preserve_host_header.enabled": Attribute("false", _BOOL),
    "routing.http.x_amzn_tls_version_and_cipher_suite.enabled": Attribute("false", _BOOL),
    "routing.http.xff_client_port.enabled": Attribute("false", _BOOL),
    "routing.http.xff_header_processing.mode": Attribute("append", _one_of("append", "preserve", "remove")),
    "routing.http2.enabled": Attribute("true", _BOOL),
    "waf.fail_open.enabled": _OFF,
    "zonal_shift.config.enabled": _OFF,
}

_OFF_OR = Attribute("off", _any, _one_of("off"))
_ONE = Attribute("1", _any, _one_of("1"))
GROUP: Mapping[str, Attribute] = {
    "deregistration_delay.timeout_seconds": Attribute("300", _between(0, 3600)),
    "load_balancing.algorithm.anomaly_mitigation": Attribute("off", _one_of("on", "off"), _one_of("off")),
    "load_balancing.algorithm.type": Attribute(
        "round_robin", _one_of("round_robin", "least_outstanding_requests", "weighted_random")
    ),
    "load_balancing.cross_zone.enabled": Attribute(
        "use_load_balancer_configuration",
        _one_of("true", "false", "use_load_balancer_configuration"),
        _one_of("true", "use_load_balancer_configuration"),
    ),
    "slow_start.duration_seconds": Attribute("0", lambda v: v == "0" or _between(30, 900)(v)),
    "stickiness.app_cookie.cookie_name": Attribute("", lambda v: bool(_COOKIE.fullmatch(v)) and not _taken(v)),
    "stickiness.app_cookie.duration_seconds": Attribute("86400", _between(1, 604800)),
    "stickiness.enabled": Attribute("false", _BOOL),
    "stickiness.lb_cookie.duration_seconds": Attribute("86400", _between(1, 604800)),
    "stickiness.type": Attribute(
        "lb_cookie",
        _one_of("lb_cookie", "app_cookie", "source_ip"),
        told="'Stickiness type' must be one of [app_cookie, lb_cookie, source_ip]",
    ),
    "target_group_health.dns_failover.minimum_healthy_targets.count": _ONE,
    "target_group_health.dns_failover.minimum_healthy_targets.percentage": _OFF_OR,
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count": _ONE,
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": _OFF_OR,
}
FUNCTION_GROUP: Mapping[str, Attribute] = {"lambda.multi_value_headers.enabled": Attribute("false", _BOOL)}


def _text(value: str) -> bool:
    return len(value) <= 1024 and value.isascii() and (value.isprintable() or not value)


def _or_none(check: Check) -> Check:
    return lambda value: not value or check(value)


_FRAMES = re.compile(r"DENY|SAMEORIGIN|ALLOW-FROM https?://[!-~]+")
_INSERTED = {
    "strict_transport_security": ("Strict-Transport-Security", _text),
    "access_control_allow_origin": ("Access-Control-Allow-Origin", _text),
    "access_control_allow_methods": ("Access-Control-Allow-Methods", _text),
    "access_control_allow_headers": ("Access-Control-Allow-Headers", _text),
    "access_control_allow_credentials": ("Access-Control-Allow-Credentials", _one_of("", "true")),
    "access_control_expose_headers": ("Access-Control-Expose-Headers", _text),
    "access_control_max_age": ("Access-Control-Max-Age", _or_none(_between(1, 86400))),
    "content_security_policy": ("Content-Security-Policy", _text),
    "x_content_type_options": ("X-Content-Type-Options", _one_of("", "nosniff")),
    "x_frame_options": ("X-Frame-Options", _or_none(lambda value: bool(_FRAMES.fullmatch(value)))),
}
SERVER = "routing.http.response.server.enabled"
LISTENER: Mapping[str, Attribute] = {
    SERVER: Attribute("true", _BOOL),
    **{f"routing.http.response.{key}.header_value": Attribute("", check) for key, (_, check) in _INSERTED.items()},
}


def inserted(set_: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """(header, value) of answers, as a listener's attributes say."""
    found = ((header, set_.get(f"routing.http.response.{key}.header_value")) for key, (header, _) in _INSERTED.items())
    return tuple((header, value) for header, value in found if value)


def _taken(cookie: str) -> bool:
    return cookie in ("AWSALB", "AWSALBAPP", "AWSALBTG")


def changed(
    known: Mapping[str, Attribute], old: Mapping[str, str], wanted: Sequence[Mapping[str, str]], what: str
) -> dict[str, str]:
    """The attributes that differ from the default, after the change.

    Raises InvalidConfigurationRequest for keys and values that AWS does not take, NotImplementedException for those
    that Havre does not do.
    """
    result = dict(old)
    seen: set[str] = set()
    for each in wanted:
        key, value = each.get("Key", ""), each.get("Value", "")
        if key in seen:
            raise validation(f"{what} attribute key '{key}' was specified more than once")
        seen.add(key)
        attribute = known.get(key)
        if attribute is None:
            raise validation(f"{what} attribute key '{key}' is not recognized")
        if not attribute.valid(value):
            raise configuration(attribute.told or f"The value '{value}' of the {what} attribute '{key}' is not valid")
        if not attribute.built(value):
            raise not_built("elbv2", f"the value '{value}' of the attribute {key}")
        result[key] = value
    return {key: value for key, value in result.items() if value != known[key].default}


def shown(known: Mapping[str, Attribute], set_: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": set_.get(key, attribute.default)} for key, attribute in known.items()]


def value(known: Mapping[str, Attribute], set_: Mapping[str, str], key: str) -> str:
    return set_.get(key, known[key].default)


def check_group(attributes: Mapping[str, str], protocol: str) -> None:
    """What holds between a target group's attributes. Raises InvalidConfigurationRequest."""
    kind = value(GROUP, attributes, "stickiness.type")
    if kind == "source_ip":
        raise configuration(f"Stickiness type '{kind}' is not supported for target groups with the {protocol} protocol")
    on = value(GROUP, attributes, "stickiness.enabled") == "true"
    if on and kind == "app_cookie" and not value(GROUP, attributes, "stickiness.app_cookie.cookie_name"):
        raise configuration("You must specify 'stickiness.app_cookie.cookie_name' for the stickiness type 'app_cookie'")
    slow = value(GROUP, attributes, "slow_start.duration_seconds") != "0"
    if slow and value(GROUP, attributes, "load_balancing.algorithm.type") != "round_robin":
        raise ApiError(
            "InvalidConfigurationRequest", "Slow start is only supported with the round robin load balancing algorithm"
        )
