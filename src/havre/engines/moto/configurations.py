"""Configurations of notifications, read and shown as S3 does: moto takes few of those that there may be, and shows no
EventBridge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.s3 import responses

_moto: Any = responses
_KINDS = {
    "Topic": ("topic", "TopicConfigurations", "TopicArn"),
    "Queue": ("queue", "QueueConfigurations", "QueueArn"),
    "CloudFunction": ("cloud_function", "LambdaFunctionConfigurations", "LambdaFunctionArn"),
}
"""By the elements' names: moto's attributes, and members of the answer."""


def _read(self: Any) -> dict[str, Any]:
    """What of the body moto keeps."""
    given = _moto.xmltodict.parse(self.body)["NotificationConfiguration"] or {}
    kept: dict[str, Any] = {}
    for name in _KINDS:
        configured = _list(given.get(f"{name}Configuration"))
        if configured:
            kept[f"{name}Configuration"] = [
                {**each, "Event": _list(each["Event"]), "Filter": _filter(each)} for each in configured
            ]
    if "EventBridgeConfiguration" in given:
        kept["EventBridgeConfiguration"] = {}
    return kept


def _filter(configuration: Mapping[str, Any]) -> Any:
    """Names are taken in any case; what is empty holds of every key."""
    key = (configuration.get("Filter") or {}).get("S3Key") or {}
    rules = [{"Name": r["Name"].lower(), "Value": r["Value"]} for r in _list(key.get("FilterRule")) if r.get("Value")]
    return {"S3Key": {"FilterRule": rules}} if rules else None


def _list(given: Any) -> list[Any]:
    if given is None:
        return []
    return given if isinstance(given, list) else [given]


def _show(self: Any) -> Any:
    configuration = self.backend.get_bucket_notification_configuration(self.bucket_name)
    self.data["Action"] = "GetBucketNotificationConfiguration"
    if not configuration:
        return self.serialized(EmptyResult())
    shown: dict[str, Any] = {
        members: [_shown(each, arn) for each in getattr(configuration, attribute)]
        for attribute, members, arn in _KINDS.values()
    }
    if configuration.event_bridge is not None:
        shown["EventBridgeConfiguration"] = {}
    return self.serialized(ActionResult(shown))


def _shown(each: Any, arn: str) -> dict[str, Any]:
    told: dict[str, Any] = {"Id": each.id, arn: each.arn, "Events": each.events}
    if each.filters:
        rules = each.filters["S3Key"]["FilterRule"]
        told["Filter"] = {"Key": {"FilterRules": [{**rule, "Name": rule["Name"].capitalize()} for rule in rules]}}
    return told


def install() -> None:
    _moto.S3Response._notification_config_from_body = _read
    _moto.S3Response.get_bucket_notification = _show
