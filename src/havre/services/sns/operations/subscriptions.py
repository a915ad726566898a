"""Subscriptions: made, confirmed, changed, ended."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from havre.control.deliveries import Delivery, send
from havre.control.operation import Answer, Call, Operations, Request
from havre.core.delivery import AWS_ENDPOINT
from havre.kernel.errors import ApiError
from havre.kernel.resource import NoStatus, scoped
from havre.services.sns import attributes, delivery_policy, endpoints, names, present, queries
from havre.services.sns.errors import invalid, no_subscription
from havre.services.sns.names import Place, of_subscription, of_topic
from havre.services.sns.paging import page
from havre.services.sns.resources import (
    DELIVERY,
    HTTP,
    SUBSCRIPTION,
    TOKEN_LIFE,
    TOPIC,
    Letter,
    Subscription,
    SubscriptionRecord,
)
from havre.store.ports import Transaction

ops = Operations()
_SHOWN_PENDING = "pending confirmation"


def _conditions(call: Call, request: Request) -> Mapping[str, str]:
    return {"sns:Protocol": request["Protocol"], "sns:Endpoint": request.get("Endpoint") or ""}


def _unless_anonymous(call: Call, request: Request) -> str:
    """Whoever has the token but no key may as well."""
    return "" if call.principal.kind == "Anonymous" else "sns:ConfirmSubscription"


@ops("Subscribe", resources=of_topic(), conditions=_conditions)
async def subscribe(call: Call, request: Request) -> Answer:
    """The same endpoint again is the same subscription; with other attributes it is an error."""
    place = names.topic_place(call, request["TopicArn"])
    given = {k: v for k, v in (request.get("Attributes") or {}).items() if v}
    protocol, said = request["Protocol"], request.get("Endpoint")
    id, token = call.world.uuid(), secrets.token_hex(64)

    def change(tx: Transaction) -> SubscriptionRecord:
        topic = queries.topic(tx, place)
        endpoint = endpoints.check(protocol, said, topic.spec.fifo)
        _check_given(given, protocol, endpoint, topic.spec.fifo)
        found = _existing(tx, place, protocol, endpoint)
        if found is not None:
            return _again(call, tx, found, given)
        confirmed = endpoints.confirms_itself(protocol, endpoint, call.account)
        spec = Subscription(place.name, protocol, endpoint, call.account, given, "" if confirmed else token, call.now)
        key = {"account": place.account, "region": place.region, "name": f"{place.name}:{id}"}
        made = tx.create(SUBSCRIPTION, **key, arn=f"{topic.meta.arn}:{id}", spec=spec, status=NoStatus())
        if not confirmed:
            _ask(call, tx, made, "SubscriptionConfirmation", token)
        return made

    made = await call.store.transact(change)
    hidden = made.spec.pending and not request.get("ReturnSubscriptionArn")
    return {"SubscriptionArn": _SHOWN_PENDING if hidden else made.meta.arn}


def _check_given(given: Mapping[str, str], protocol: str, endpoint: str, fifo: bool) -> None:
    """What is wrong with one of several attributes is said with a word about which member has it. Raises ApiError."""
    try:
        attributes.check_subscription(given, protocol, endpoint, fifo)
    except ApiError as error:
        if error.code != invalid("").code:
            raise
        raise invalid(f"Attributes Reason: {error.message.removeprefix(invalid('').message)}") from None


def _existing(tx: Transaction, place: Place, protocol: str, endpoint: str) -> SubscriptionRecord | None:
    every = queries.subscriptions(tx, place)
    return next((r for r in every if r.spec.endpoint == endpoint and r.spec.protocol == protocol), None)


def _again(call: Call, tx: Transaction, found: SubscriptionRecord, given: Mapping[str, str]) -> SubscriptionRecord:
    """One that nobody has confirmed yet is asked about anew."""
    known = attributes.whole(found.spec.attributes)
    if any(known.get(k) != v for k, v in attributes.whole(given).items() if k in given):
        raise invalid("Attributes Reason: Subscription already exists with different attributes")
    if not found.spec.pending:
        return found
    token = secrets.token_hex(64)
    again = tx.update(found, spec=replace(found.spec, token=token, asked=call.now))
    _ask(call, tx, again, "SubscriptionConfirmation", token)
    return again


def _ask(call: Call, tx: Transaction, about: SubscriptionRecord, kind: str, token: str) -> None:
    """Send the endpoint a message with the token by which it can agree."""
    id = call.world.uuid()
    topic = about.meta.arn.rpartition(":")[0]
    letter = Letter(about.meta.arn, topic, id, call.now, "", kind, token=token)
    direct = about.spec.protocol in ("sqs", "lambda")
    policy = AWS_ENDPOINT if direct else delivery_policy.retry_policy(delivery_policy.effective("", ""))
    spec = Delivery(msgspec.msgpack.encode(letter), id, call.now, policy)
    send(tx, DELIVERY if direct else HTTP, about.meta.account, about.meta.region, id, spec)


def _asked_about(call: Call, topic: str) -> Place:
    """Raises ApiError, with fewer words than other operations do."""
    try:
        return names.topic_place(call, topic)
    except ApiError:
        raise invalid("Topic") from None


@ops("ConfirmSubscription", action=_unless_anonymous, resources=of_topic())
async def confirm_subscription(call: Call, request: Request) -> Answer:
    """The token says who may: it was sent to the endpoint alone."""
    place = _asked_about(call, request["TopicArn"])
    endpoints.check_token(request["Token"])
    guarded = str(request.get("AuthenticateOnUnsubscribe") or "false").lower() == "true"
    token = request["Token"].encode()
    anonymous = call.principal.kind == "Anonymous"

    def change(tx: Transaction) -> SubscriptionRecord:
        for each in queries.subscriptions(tx, place):
            if each.spec.token and hmac.compare_digest(each.spec.token.encode(), token):
                if call.now - each.spec.asked > TOKEN_LIFE:
                    raise endpoints.not_pending()
                spec = replace(each.spec, token="", guarded=guarded, authenticated=not anonymous)
                return tx.update(each, spec=spec)
        raise endpoints.not_pending()

    confirmed = await call.store.transact(change)
    return {"SubscriptionArn": confirmed.meta.arn}


@ops("Unsubscribe", action="")
async def unsubscribe(call: Call, request: Request) -> Answer:
    """Without a signature only servers can end their subscriptions, unless guarded: they are told how to undo it."""
    place = names.subscription_place(call, request["SubscriptionArn"])
    found = call.store.get(SUBSCRIPTION, *place)
    topic = request["SubscriptionArn"].rpartition(":")[0]
    anonymous = call.principal.kind == "Anonymous"
    if anonymous and (found is None or found.spec.guarded or found.spec.protocol not in ("http", "https")):
        raise ApiError("AuthorizationErrorException", "Unsubscribing needs to be authenticated")
    if not anonymous:
        own = found is not None and found.spec.owner == call.account != place.account
        await call.authorize("sns:Unsubscribe", ["*" if own else topic], {})
    token = secrets.token_hex(64)

    def change(tx: Transaction) -> None:
        stored = tx.get(SUBSCRIPTION, *place)
        if stored is None:
            return
        if stored.spec.pending and not anonymous:
            raise invalid("SubscriptionArn Reason: This subscription is pending confirmation and cannot be deleted")
        if anonymous:
            pending = tx.update(stored, spec=replace(stored.spec, token=token, asked=call.now))
            _ask(call, tx, pending, "UnsubscribeConfirmation", token)
            return
        _end(tx, place, stored)

    await call.store.transact(change)
    return None


def _end(tx: Transaction, place: Place, stored: SubscriptionRecord) -> None:
    tx.remove(stored)
    topic = tx.get(TOPIC, place.account, place.region, stored.spec.topic)
    if topic is not None:
        tx.update(topic, status=replace(topic.status, deleted=topic.status.deleted + 1))


@ops("GetSubscriptionAttributes", resources=of_subscription)
async def get_subscription_attributes(call: Call, request: Request) -> Answer:
    place = names.subscription_place(call, request["SubscriptionArn"])
    found = queries.subscription(call.store, place)
    topic = queries.topic(call.store, Place(place.account, place.region, found.spec.topic))
    return {"Attributes": present.subscription_attributes(found, topic)}


@ops("SetSubscriptionAttributes", resources=of_subscription)
async def set_subscription_attributes(call: Call, request: Request) -> Answer:
    place = names.subscription_place(call, request["SubscriptionArn"])
    name, value = request["AttributeName"], request.get("AttributeValue") or ""

    def change(tx: Transaction) -> None:
        found = tx.get(SUBSCRIPTION, *place)
        if found is None:
            raise no_subscription()
        if name not in attributes.SUBSCRIPTION:
            raise invalid("AttributeName")
        attributes.check_alone(name, value)
        topic = queries.topic(tx, Place(place.account, place.region, found.spec.topic))
        wanted = {k: v for k, v in {**found.spec.attributes, name: value}.items() if v}
        attributes.check_subscription(wanted, found.spec.protocol, found.spec.endpoint, topic.spec.fifo)
        tx.update(found, spec=replace(found.spec, attributes=wanted))

    await call.store.transact(change)
    return None


@ops("ListSubscriptions")
async def list_subscriptions(call: Call, request: Request) -> Answer:
    """Of the caller's account, whosever topics they are to."""
    return _listed(call, request, call.store.find(SUBSCRIPTION, "owner", scoped(call.account, call.region, "")))


@ops("ListSubscriptionsByTopic", resources=of_topic())
async def list_subscriptions_by_topic(call: Call, request: Request) -> Answer:
    place = names.topic_place(call, request["TopicArn"])
    queries.topic(call.store, place)
    return _listed(call, request, queries.subscriptions(call.store, place))


def _listed(call: Call, request: Request, found: Sequence[Any]) -> Answer:
    shown, token = page(call, request, found, lambda r: f"{r.meta.account}:{r.meta.name}")
    return {"Subscriptions": [present.subscription(r) for r in shown], "NextToken": token}
