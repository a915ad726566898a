"""Actions of listeners and rules: what AWS takes, what Havre does, and how they are shown. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from havre.kernel.errors import ApiError, not_built
from havre.services.elbv2.errors import validation
from havre.services.elbv2.resources import Action

MOST_GROUPS = 5
CONTENT_TYPES = ("text/plain", "text/css", "text/html", "application/javascript", "application/json")
_MEMBERS = {"forward": ("ForwardConfig", "TargetGroupArn"), "redirect": ("RedirectConfig",)}
_MEMBERS["fixed-response"] = ("FixedResponseConfig",)
_REDIRECT = {"Protocol": "#{protocol}", "Host": "#{host}", "Port": "#{port}", "Path": "/#{path}", "Query": "#{query}"}
_PLACEHOLDER = re.compile(r"#\{([^}]*)\}")


def parse(given: Sequence[Mapping[str, Any]]) -> Action:
    """The one action that routes. Raises ValidationError, InvalidLoadBalancerAction, TooManyTargetGroups."""
    if not given:
        raise validation("You must specify at least one action")
    for each in given:
        kind = each["Type"]
        if kind in ("authenticate-oidc", "authenticate-cognito", "jwt-validation"):
            raise not_built("elbv2", f"the action {kind}")
        if kind not in _MEMBERS:
            raise validation(f"'{kind}' is not a valid action type")
    if len(given) > 1:
        raise ApiError("TooManyActions", "You've reached the limit on the number of actions per rule")
    return _one(given[0])


def _one(given: Mapping[str, Any]) -> Action:
    kind, order = given["Type"], given.get("Order")
    for other, members in _MEMBERS.items():
        for member in members:
            if other != kind and member in given:
                raise ApiError(
                    "InvalidLoadBalancerAction", f"You cannot specify {member} for an action of the type '{kind}'"
                )
    if kind == "forward":
        return _forward(given, order)
    if kind == "redirect":
        return _redirect(given.get("RedirectConfig") or {}, order)
    return _fixed(given.get("FixedResponseConfig") or {}, order)


def _forward(given: Mapping[str, Any], order: int | None) -> Action:
    config = given.get("ForwardConfig") or {}
    arn = given.get("TargetGroupArn")
    listed = config.get("TargetGroups") or ()
    if not arn and not listed:
        raise validation("A target group ARN must be specified for a forward action")
    if arn and listed and [each.get("TargetGroupArn") for each in listed] != [arn]:
        raise ApiError("InvalidLoadBalancerAction", "The target groups of the action and of its ForwardConfig differ")
    groups = tuple((each.get("TargetGroupArn") or "", _weight(each)) for each in listed) or ((arn or "", 1),)
    if len(groups) > MOST_GROUPS:
        raise ApiError("TooManyTargetGroups", "You've reached the limit on the number of target groups per action")
    if len({group for group, _ in groups}) != len(groups) or not all(group for group, _ in groups):
        raise ApiError("InvalidLoadBalancerAction", "Target groups of a forward action must be named, and differ")
    stickiness = config.get("TargetGroupStickinessConfig") or {}
    seconds = stickiness.get("DurationSeconds", 0)
    if stickiness.get("Enabled") and not 1 <= seconds <= 604800:
        raise validation("Target group stickiness duration must be between '1' and '604800' seconds")
    return Action("forward", groups, seconds if stickiness.get("Enabled") else 0, order=order)


def _weight(each: Mapping[str, Any]) -> int:
    weight: int = each.get("Weight", 1)
    if not 0 <= weight <= 999:
        raise validation("Target group weight must be between '0' and '999'")
    return weight


def _redirect(config: Mapping[str, Any], order: int | None) -> Action:
    if not config:
        raise validation("A redirect action must have a RedirectConfig")
    wanted = {key: config.get(key, default) for key, default in _REDIRECT.items()}
    if wanted == _REDIRECT:
        raise ApiError(
            "InvalidLoadBalancerAction",
            "The redirect configuration is not valid because it creates a loop: at least one component must change",
        )
    if wanted["Port"] != "#{port}" and not (wanted["Port"].isdecimal() and 1 <= int(wanted["Port"]) <= 65535):
        raise validation(f"'{wanted['Port']}' is not a valid port of a redirect")
    if not wanted["Path"].startswith("/"):
        raise validation("The path of a redirect must start with '/'")
    for key, text in wanted.items():
        if not text.isprintable():
            raise validation(f"The {key} of a redirect contains a character that is not valid")
        for name in _PLACEHOLDER.findall(text):
            if name not in ("protocol", "host", "port", "path", "query"):
                raise validation(f"'#{{{name}}}' is not a valid keyword of a redirect")
    if config["StatusCode"] not in ("HTTP_301", "HTTP_302"):
        raise validation(f"'{config['StatusCode']}' is not a valid status code of a redirect")
    return Action("redirect", redirect=wanted, status=config["StatusCode"], order=order)


def _fixed(config: Mapping[str, Any], order: int | None) -> Action:
    if not config:
        raise validation("A fixed-response action must have a FixedResponseConfig")
    kind = config.get("ContentType", "")
    if kind and kind not in CONTENT_TYPES:
        raise ApiError(
            "InvalidLoadBalancerAction", f"The ContentType must be one of:{', '.join(map(repr, CONTENT_TYPES))}"
        )
    body = config.get("MessageBody")
    return Action("fixed-response", status=config["StatusCode"], content_type=kind, body=body, order=order)


def shown(action: Action) -> dict[str, Any]:
    result: dict[str, Any] = {"Type": action.kind, "Order": action.order}
    if action.kind == "forward":
        if len(action.groups) == 1:
            result["TargetGroupArn"] = action.groups[0][0]
        sticky: dict[str, Any] = {"Enabled": bool(action.sticky)}
        if action.sticky:
            sticky["DurationSeconds"] = action.sticky
        groups = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in action.groups]
        result["ForwardConfig"] = {"TargetGroups": groups, "TargetGroupStickinessConfig": sticky}
    elif action.kind == "redirect":
        result["RedirectConfig"] = {**action.redirect, "StatusCode": action.status}
    else:
        body = {"MessageBody": action.body, "ContentType": action.content_type or None}
        result["FixedResponseConfig"] = {"StatusCode": action.status, **body}
    return {key: value for key, value in result.items() if value is not None}
