"""Notifications: whether S3 may reach a destination, and the delivery to it.

S3 acts as ``s3.amazonaws.com`` for the bucket, so the destination's own policy decides: when the configuration is made,
and at each delivery.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from havre.control.deps import AwsFor
from havre.control.operation import Aws, Call, Request, Site
from havre.engines.borrowed import Deliver
from havre.kernel.arn import Arn
from havre.kernel.errors import ApiError, Permanent, Temporary
from havre.services.s3.resources import BUCKET

log = logging.getLogger("havre.s3")

SERVICE = "s3.amazonaws.com"
INVALID = "Unable to validate the following destination configurations"
_AMBIGUOUS = (
    "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes are overlapping "
    "for the same event type."
)
AT_ONCE = 64
"""Deliveries under way; the rest wait their turn."""
LONGEST_WAIT = 30.0
_DESTINATIONS = (
    ("LambdaFunctionConfigurations", "LambdaFunctionArn", "lambda"),
    ("QueueConfigurations", "QueueArn", "sqs"),
    ("TopicConfigurations", "TopicArn", "sns"),
)


class Notifier:
    def __init__(self, aws_for: AwsFor, site: Site) -> None:
        self._aws_for = aws_for
        self._site = site
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def check(self, call: Call, request: Request) -> None:
        """Before a configuration is kept: each destination takes a test event, or says that it would take one. Raises
        ApiError InvalidArgument."""
        _check_rules(request["NotificationConfiguration"])
        _check_overlaps(request["NotificationConfiguration"])
        found = call.store.get(BUCKET, "", "", request["Bucket"])
        if found is None or request.get("SkipDestinationValidation"):
            return
        aws = self._aws_for(found.spec.owner, call.region, SERVICE, found.meta.arn)
        at = datetime.fromtimestamp(call.now, UTC)
        event = {
            "Service": "Amazon S3",
            "Event": "s3:TestEvent",
            "Time": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z",
            "Bucket": found.meta.name,
            "RequestId": call.request_id,
            "HostId": call.request_id,
        }
        for arn in _destinations(request["NotificationConfiguration"]):
            try:
                await self._send(aws, arn, json.dumps(event, separators=(",", ":")), dry=True)
            except ApiError as error:
                log.info("%s cannot notify %s: %s", found.meta.arn, arn, error)
                raise ApiError("InvalidArgument", f"{INVALID}: {arn}: {error.message or error.code}", 400) from None

    async def deliver(self, frame: Deliver, body: bytes) -> None:
        """Returns when the destination has taken it, or will never take it."""
        wait = 0.5
        while True:
            try:
                async with self._slots:
                    await self._once(frame, body)
                return
            except (ApiError, Permanent, ValueError) as error:
                target = frame.target or "EventBridge"
                log.warning("a notification of bucket %s does not reach %s: %s", frame.bucket, target, error)
                return
            except Temporary as later:
                await asyncio.sleep(max(wait, later.after))
                wait = min(2 * wait, LONGEST_WAIT)

    async def _once(self, frame: Deliver, body: bytes) -> None:
        where = frame.account, frame.region, SERVICE
        if frame.target:
            aws = self._aws_for(*where, f"arn:aws:s3:::{frame.bucket}", trace=frame.trace)
            await self._send(aws, frame.target, body.decode())
            return
        entry: dict[str, Any] = json.loads(body)
        await self._aws_for(*where)("events", "PutEvents", {"Entries": [entry]})

    async def _send(self, aws: Aws, arn: str, text: str, dry: bool = False) -> None:
        """Raises ApiError, Temporary; ValueError for what is no ARN."""
        where = Arn.parse(arn)
        if where.service == "lambda":
            kind = "DryRun" if dry else "Event"
            await aws("lambda", "Invoke", {"FunctionName": arn, "InvocationType": kind, "Payload": text.encode()})
        elif where.service == "sqs":
            url = f"{self._site.endpoint}/{where.account}/{where.resource}"
            await aws("sqs", "SendMessage", {"QueueUrl": url, "MessageBody": text})
        elif where.service == "sns":
            await aws("sns", "Publish", {"TopicArn": arn, "Message": text, "Subject": "Amazon S3 Notification"})
        else:
            raise ApiError("InvalidArgument", f"The ARN could not be parsed: {arn}", 400)


def _check_rules(configuration: Request) -> None:
    """Raises ApiError."""
    ids = set()
    for each in (each for member, _, _ in _DESTINATIONS for each in configuration.get(member) or ()):
        names = [rule.get("Name", "").lower() for rule in _filter_rules(each)]
        for name in names:
            if name not in ("prefix", "suffix"):
                raise ApiError("InvalidArgument", "filter rule name must be either prefix or suffix", 400)
            if names.count(name) > 1:
                raise ApiError("InvalidArgument", f"Cannot specify more than one {name} rule in a filter.", 400)
        if each.get("Id") in ids:
            raise ApiError("InvalidArgument", "Same ID used for multiple configurations. IDs must be unique.", 400)
        ids.add(each.get("Id") or object())


def _filter_rules(given: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return ((given.get("Filter") or {}).get("Key") or {}).get("FilterRules") or ()


def _check_overlaps(configuration: Request) -> None:
    """No change of an object is for two rules. Raises ApiError."""
    rules = [_rule(each) for member, _, _ in _DESTINATIONS for each in configuration.get(member) or ()]
    for number, (events, prefix, suffix) in enumerate(rules):
        for others, start, end in rules[:number]:
            near = (prefix.startswith(start) or start.startswith(prefix)) and (
                suffix.endswith(end) or end.endswith(suffix)
            )
            if near and any(_same(event, other) for event in events for other in others):
                raise ApiError("InvalidArgument", _AMBIGUOUS, 400)


def _rule(given: Mapping[str, Any]) -> tuple[Sequence[str], str, str]:
    """(events, prefix, suffix)."""
    named = {each["Name"].lower(): each.get("Value") or "" for each in _filter_rules(given)}
    return given["Events"], named.get("prefix", ""), named.get("suffix", "")


def _same(one: str, other: str) -> bool:
    """``s3:ObjectCreated:*`` is each of its kind."""
    if one.endswith("*") or other.endswith("*"):
        return one.rpartition(":")[0] == other.rpartition(":")[0]
    return one == other


def _destinations(configuration: Request) -> Iterator[str]:
    """Each once. Raises ApiError for one that S3 does not notify."""
    seen = set()
    for member, field, service in _DESTINATIONS:
        for each in configuration.get(member) or ():
            arn = each[field]
            try:
                where = Arn.parse(arn)
            except ValueError:
                raise ApiError("InvalidArgument", "The ARN could not be parsed", 400) from None
            if where.service != service or where.resource.endswith(".fifo"):
                raise ApiError("InvalidArgument", f"{INVALID}: {arn}", 400)
            if arn not in seen:
                seen.add(arn)
                yield arn
