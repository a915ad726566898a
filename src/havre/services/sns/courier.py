"""Carries letters: to queues and functions by calls within the process, to servers by HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from havre.control.deliveries import Parcel, temporary
from havre.control.deps import ReconcilerDeps
from havre.control.operation import Aws
from havre.engines.webhook import without_password
from havre.kernel.errors import ApiError, Permanent, Temporary
from havre.services.sns import envelope, metering, sealing
from havre.services.sns.attributes import dead_letter_queue
from havre.services.sns.delivery_policy import CONTENT_TYPE, effective
from havre.services.sns.resources import SUBSCRIPTION, TOPIC, Letter, Subscription, TopicRecord
from havre.services.sns.signing import Signer

PRINCIPAL = "sns.amazonaws.com"
MOST_RAW_ATTRIBUTES = 10
Post = Callable[[str, bytes, Mapping[str, str]], Awaitable[int]]
"""(URL, body, headers) → the status. Raises Temporary when nobody answers, Permanent for a URL that cannot be asked."""


class Courier:
    """Letters whose subscription is gone need not be carried."""

    def __init__(self, deps: ReconcilerDeps, post: Post) -> None:
        self._deps = deps
        self._post = post
        self._signer = Signer(deps)
        self._decode = msgspec.msgpack.Decoder(Letter).decode

    async def carry(self, parcel: Parcel) -> None:
        letter = await self._letter(parcel)
        found = self._subscription(parcel, letter)
        if found is None:
            return
        try:
            if found.protocol == "sqs":
                await self._to_queue(found, letter)
            elif found.protocol == "lambda":
                await self._to_function(found, letter)
            else:
                await self._to_server(parcel, found, letter)
        except ApiError as error:
            raise temporary(error) from error
        metering.told(self._deps.metrics, letter, metering.DELIVERED)

    async def _letter(self, parcel: Parcel) -> Letter:
        """Raises Temporary where it is under a key that does not open it now."""
        meta = parcel.meta
        return self._decode(await sealing.opened(self._deps, meta.account, meta.region, parcel.spec.parcel))

    def _subscription(self, parcel: Parcel, letter: Letter) -> Subscription | None:
        name = ":".join(letter.subscription.split(":")[-2:])
        found = self._deps.store.get(SUBSCRIPTION, parcel.meta.account, parcel.meta.region, name)
        return found.spec if found is not None else None

    def _aws(self, target: str, letter: Letter) -> Aws:
        """As SNS, for the sake of the topic, where the target is."""
        _, _, _, region, account, _ = target.split(":", 5)
        return self._deps.aws_for(account, region, PRINCIPAL, letter.topic, letter.trace)

    async def _to_queue(self, found: Subscription, letter: Letter) -> None:
        request: dict[str, Any] = {"QueueUrl": self._queue_url(found.endpoint)}
        if _is_raw(found) and letter.kind == "Notification":
            if len(letter.attributes) > MOST_RAW_ATTRIBUTES:
                raise Permanent("A raw message to a queue can have at most 10 message attributes")
            request["MessageBody"] = letter.text
            if letter.attributes:
                request["MessageAttributes"] = letter.attributes
        else:
            request["MessageBody"] = await self._written(found, letter)
        if letter.group:
            request["MessageGroupId"] = letter.group
        if letter.deduplication and found.endpoint.endswith(".fifo"):
            request["MessageDeduplicationId"] = letter.deduplication
        await self._aws(found.endpoint, letter)("sqs", "SendMessage", request)

    def _queue_url(self, arn: str) -> str:
        _, _, _, _, account, name = arn.split(":", 5)
        return f"{self._deps.site.endpoint}/{account}/{name}"

    async def _to_function(self, found: Subscription, letter: Letter) -> None:
        endpoint = self._deps.site.endpoint
        signature = await self._signature(found, letter, envelope.notification(letter, endpoint))
        payload = envelope.record(letter, endpoint, signature)
        request = {"FunctionName": found.endpoint, "InvocationType": "Event", "Payload": payload}
        await self._aws(found.endpoint, letter)("lambda", "Invoke", request)

    async def _to_server(self, parcel: Parcel, found: Subscription, letter: Letter) -> None:
        topic = self._topic(found, letter)
        whole = topic.spec.attributes.get("DeliveryPolicy", "") if topic is not None else ""
        policy = effective(whole, found.attributes.get("DeliveryPolicy", ""))
        notified = letter.kind == "Notification"
        headers = {
            "Content-Type": policy["requestPolicy"]["headerContentType"] if notified else CONTENT_TYPE,
            "Accept-Encoding": "gzip,deflate",
            "User-Agent": "Amazon Simple Notification Service Agent",
            "x-amz-sns-message-type": letter.kind,
            "x-amz-sns-message-id": letter.id,
            "x-amz-sns-topic-arn": letter.topic,
        }
        if letter.kind != "SubscriptionConfirmation":
            headers["x-amz-sns-subscription-arn"] = letter.subscription
        raw = notified and _is_raw(found)
        if raw:
            headers["x-amz-sns-rawdelivery"] = "true"
        text = letter.text if raw else await self._written(found, letter)
        status = await self._post(found.endpoint, text.encode(), headers)
        if 200 <= status < 300:
            return
        words = f"{without_password(found.endpoint)} answered with status {status}"
        raise Permanent(words) if 400 <= status < 500 and status != 429 else Temporary(words)

    def _topic(self, found: Subscription, letter: Letter) -> TopicRecord | None:
        _, _, _, region, account, _ = letter.topic.split(":", 5)
        return self._deps.store.get(TOPIC, account, region, found.topic)

    async def _written(self, found: Subscription, letter: Letter) -> str:
        told = envelope.notification(letter, self._deps.site.endpoint)
        return envelope.written(envelope.signed(told, await self._signature(found, letter, told)))

    async def _signature(self, found: Subscription, letter: Letter, told: Mapping[str, Any]) -> Mapping[str, str]:
        """What FIFO topics send has none."""
        if letter.sequence:
            return {}
        topic = self._topic(found, letter)
        version = topic.spec.attributes.get("SignatureVersion") if topic is not None else None
        return await self._signer.sign(told, version or "1")

    async def bury(self, parcel: Parcel) -> None:
        """To the queue of the subscription's RedrivePolicy, as the subscription would have got it."""
        letter = await self._letter(parcel)
        found = self._subscription(parcel, letter)
        if parcel.status.burials == 0:
            metering.told(self._deps.metrics, letter, metering.FAILED)
        redrive = found.attributes.get("RedrivePolicy") if found is not None else None
        if found is None or not redrive or letter.kind != "Notification":
            return
        queue = dead_letter_queue(redrive)
        raw = _is_raw(found)
        request: dict[str, Any] = {
            "QueueUrl": self._queue_url(queue),
            "MessageBody": letter.text if raw else await self._written(found, letter),
        }
        if raw and letter.attributes:
            request["MessageAttributes"] = dict(list(letter.attributes.items())[:MOST_RAW_ATTRIBUTES])
        if letter.group:
            request["MessageGroupId"] = letter.group
        if queue.endswith(".fifo"):
            request["MessageDeduplicationId"] = letter.deduplication
        try:
            await self._aws(queue, letter)("sqs", "SendMessage", request)
        except ApiError as error:
            metering.told(self._deps.metrics, letter, metering.NOT_REDRIVEN)
            raise temporary(error) from error
        metering.told(self._deps.metrics, letter, metering.REDRIVEN)


def _is_raw(found: Subscription) -> bool:
    return found.attributes.get("RawMessageDelivery", "").lower() == "true"
