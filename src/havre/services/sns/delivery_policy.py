"""HTTP delivery policies: what the JSON of topic and subscription says, and the retries that follow from it. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from havre.core.delivery import FUNCTIONS, RetryPolicy
from havre.kernel.errors import ApiError, not_built
from havre.services.sns.errors import invalid

RETRIES = {
    "minDelayTarget": 20,
    "maxDelayTarget": 20,
    "numRetries": 3,
    "numMaxDelayRetries": 0,
    "numNoDelayRetries": 0,
    "numMinDelayRetries": 0,
    "backoffFunction": "linear",
}
"""AWS's default for HTTP and HTTPS."""
CONTENT_TYPE = "text/plain; charset=UTF-8"
_LONGEST = 3600
_MOST = 100


def of_topic(text: str) -> Mapping[str, Any]:
    """The ``http`` part of a topic's policy. Raises ApiError."""
    found = _object(text)
    http = found.get("http", {})
    if set(found) - {"http"} or not isinstance(http, dict):
        raise _wrong("Unexpected JSON member: " + ", ".join(sorted(set(found) - {"http"}) or ["http"]))
    known = {
        "defaultHealthyRetryPolicy",
        "disableSubscriptionOverrides",
        "defaultThrottlePolicy",
        "defaultRequestPolicy",
    }
    _check(http, known, "default")
    return http


def of_subscription(text: str) -> Mapping[str, Any]:
    """Raises ApiError."""
    found = _object(text)
    _check(found, {"healthyRetryPolicy", "throttlePolicy", "requestPolicy", "sicklyRetryPolicy", "guaranteed"}, "")
    return found


def effective(topic: str, subscription: str) -> dict[str, Any]:
    """What holds for a subscription: its own policy over its topic's over AWS's."""
    whole = json.loads(topic).get("http", {}) if topic else {}
    own = json.loads(subscription) if subscription and not whole.get("disableSubscriptionOverrides") else {}
    retries = {**RETRIES, **(whole.get("defaultHealthyRetryPolicy") or {}), **(own.get("healthyRetryPolicy") or {})}
    request = {**(whole.get("defaultRequestPolicy") or {}), **(own.get("requestPolicy") or {})}
    return {
        "healthyRetryPolicy": retries,
        "sicklyRetryPolicy": None,
        "throttlePolicy": None,
        "requestPolicy": {"headerContentType": request.get("headerContentType", CONTENT_TYPE)},
        "guaranteed": False,
    }


def effective_of_topic(topic: str) -> dict[str, Any]:
    found = effective(topic, "")
    disabled = bool(json.loads(topic).get("http", {}).get("disableSubscriptionOverrides")) if topic else False
    return {
        "http": {
            "defaultHealthyRetryPolicy": found["healthyRetryPolicy"],
            "disableSubscriptionOverrides": disabled,
            "defaultRequestPolicy": found["requestPolicy"],
        }
    }


def shown_of_topic(policy: str) -> dict[str, Any]:
    """What its owner said, with what he need not say."""
    said = {name: value for name, value in json.loads(policy).get("http", {}).items() if value is not None}
    order = ("defaultHealthyRetryPolicy", "disableSubscriptionOverrides", "defaultRequestPolicy")
    said.setdefault("disableSubscriptionOverrides", False)
    return {"http": {name: said[name] for name in order if name in said}}


def shown_of_subscription(policy: str) -> dict[str, Any]:
    nothing = dict.fromkeys(("healthyRetryPolicy", "sicklyRetryPolicy", "throttlePolicy", "requestPolicy"))
    return {**nothing, "guaranteed": False, **json.loads(policy)}


def retry_policy(found: Mapping[str, Any]) -> RetryPolicy:
    """Of what ``effective`` gives."""
    says = found["healthyRetryPolicy"]
    at_once, early, late = says["numNoDelayRetries"], says["numMinDelayRetries"], says["numMaxDelayRetries"]
    growing = says["numRetries"] - at_once - early - late
    least, most = float(says["minDelayTarget"]), float(says["maxDelayTarget"])
    return RetryPolicy(at_once, early, growing, late, least, most, says["backoffFunction"])


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise _wrong("Failed to parse JSON") from None
    if not isinstance(found, dict):
        raise _wrong("Failed to parse JSON")
    return found


def _check(found: Mapping[str, Any], known: set[str], prefix: str) -> None:
    unknown = set(found) - known
    if unknown:
        raise _wrong(f"Unexpected JSON member: {', '.join(sorted(unknown))}")
    throttle = "defaultThrottlePolicy" if prefix else "throttlePolicy"
    if found.get(throttle):
        raise not_built("sns", f"DeliveryPolicy {throttle}")
    _check_retries(found.get("defaultHealthyRetryPolicy" if prefix else "healthyRetryPolicy") or {})
    request = found.get("defaultRequestPolicy" if prefix else "requestPolicy") or {}
    kind = request.get("headerContentType", "text/plain") if isinstance(request, dict) else None
    if not isinstance(kind, str) or any(c in kind for c in "\r\n") or not kind.isascii():
        raise _wrong("requestPolicy.headerContentType")


def _check_retries(given: Any) -> None:
    if not isinstance(given, dict) or set(given) - set(RETRIES):
        raise _wrong("healthyRetryPolicy")
    says = {**RETRIES, **given}
    numbers = {k: v for k, v in says.items() if k != "backoffFunction"}
    for name, value in numbers.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise _wrong(f"{name} must be a whole number that is not negative")
    if says["backoffFunction"] not in FUNCTIONS:
        raise _wrong(f"backoffFunction must be one of {', '.join(FUNCTIONS)}")
    least, most, retries = says["minDelayTarget"], says["maxDelayTarget"], says["numRetries"]
    if not 1 <= least <= most <= _LONGEST:
        raise _wrong("minDelayTarget must be at least 1 and at most maxDelayTarget, and that at most 3600")
    phases = says["numNoDelayRetries"] + says["numMinDelayRetries"] + says["numMaxDelayRetries"]
    if retries > _MOST or phases > retries:
        raise _wrong("numRetries must be at most 100, and at least the sum of the other numbers of retries")


def _wrong(reason: str) -> ApiError:
    return invalid(f"DeliveryPolicy: {reason}")
