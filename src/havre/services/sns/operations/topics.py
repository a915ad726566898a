"""Topics, their attributes, their tags."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.control.tags import without
from havre.kernel.errors import ApiError, not_built
from havre.kernel.resource import scoped
from havre.services.sns import attributes, names, present, queries, tags
from havre.services.sns.errors import invalid
from havre.services.sns.names import FIFO, Place, of_new_topic, of_topic
from havre.services.sns.paging import page
from havre.services.sns.resources import SEEN, TOPIC, Topic, TopicRecord, TopicStatus
from havre.store.ports import Transaction

ops = Operations()


@ops("CreateTopic", resources=of_new_topic)
async def create_topic(call: Call, request: Request) -> Answer:
    """The same topic again is the same topic; with other attributes or tags it is an error."""
    name = request["Name"]
    given = dict(request.get("Attributes") or {})
    fifo = _is_fifo(name, given)
    for key, value in given.items():
        attributes.check_topic(key, value, fifo)
    if request.get("DataProtectionPolicy"):
        raise not_built("sns", "CreateTopic DataProtectionPolicy")
    wanted = tags.given(request.get("Tags") or ())
    arn = call.arn(name)
    if wanted:
        await call.authorize("sns:TagResource", [arn], {})
    policy = given.pop("Policy", "")
    spec = Topic(fifo, given, policy, wanted)
    place = Place(call.account, call.region, name)

    def change(tx: Transaction) -> None:
        found = tx.get(TOPIC, *place)
        if found is not None:
            _same(found, spec)
            return
        key = {"account": place.account, "region": place.region, "name": name}
        tx.create(TOPIC, **key, arn=arn, spec=spec, status=TopicStatus())

    await call.store.transact(change)
    return {"TopicArn": arn}


def _is_fifo(name: str, given: dict[str, str]) -> bool:
    said = given.pop("FifoTopic", "false").lower()
    if said not in ("true", "false") or not names.is_name(name) or name.endswith(FIFO) != (said == "true"):
        raise invalid("Topic Name")
    return said == "true"


def _same(found: TopicRecord, spec: Topic) -> None:
    if any(found.spec.attributes.get(k, "") != v for k, v in spec.attributes.items()) or (
        spec.policy and spec.policy != found.spec.policy
    ):
        raise invalid("Attributes Reason: Topic already exists with different attributes")
    if spec.tags and spec.tags != found.spec.tags:
        raise invalid("Tags Reason: Topic already exists with different tags")


@ops("DeleteTopic", resources=of_topic())
async def delete_topic(call: Call, request: Request) -> Answer:
    """With its subscriptions and what it remembers. A topic that is not there is deleted already."""
    place = names.topic_place(call, request["TopicArn"])

    def change(tx: Transaction) -> None:
        found = tx.get(TOPIC, *place)
        if found is None:
            return
        for each in queries.subscriptions(tx, place):
            tx.remove(each)
        for seen in tx.find(SEEN, "topic", scoped(*place)):
            tx.remove(seen)
        tx.remove(found)

    await call.store.transact(change)
    return None


@ops("ListTopics")
async def list_topics(call: Call, request: Request) -> Answer:
    found = call.store.list(TOPIC, call.account, call.region)
    shown, token = page(call, request, found, lambda r: r.meta.name)
    return {"Topics": [{"TopicArn": r.meta.arn} for r in shown], "NextToken": token}


@ops("GetTopicAttributes", resources=of_topic())
async def get_topic_attributes(call: Call, request: Request) -> Answer:
    place = names.topic_place(call, request["TopicArn"])
    found = queries.topic(call.store, place)
    return {"Attributes": present.topic_attributes(found, queries.subscriptions(call.store, place))}


@ops("SetTopicAttributes", resources=of_topic())
async def set_topic_attributes(call: Call, request: Request) -> Answer:
    place = names.topic_place(call, request["TopicArn"])
    name, value = request["AttributeName"], request.get("AttributeValue") or ""

    def change(tx: Transaction) -> None:
        found = queries.topic(tx, place)
        attributes.check_topic(name, value, found.spec.fifo)
        if name == "Policy":
            tx.update(found, spec=replace(found.spec, policy=value))
        else:
            tx.update(found, spec=replace(found.spec, attributes={**found.spec.attributes, name: value}))

    await call.store.transact(change)
    return None


# ------------------------------------------------------------------ tags


async def _retag(call: Call, arn: str, how: Callable[[Mapping[str, str]], dict[str, str]]) -> Answer:
    place = names.topic_place(call, arn, "ResourceArn")

    def change(tx: Transaction) -> None:
        found = _tagged(tx, place)
        tx.update(found, spec=replace(found.spec, tags=how(found.spec.tags)))

    await call.store.transact(change)
    return {}


def _tagged(reader: Any, place: Place) -> TopicRecord:
    found: TopicRecord | None = reader.get(TOPIC, *place)
    if found is None:
        raise ApiError("ResourceNotFoundException", "Resource does not exist")
    return found


def tags_of(call: Call, arn: str) -> Mapping[str, str]:
    """Raises ApiError when there is no such topic."""
    return _tagged(call.store, names.topic_place(call, arn, "ResourceArn")).spec.tags


@ops("TagResource", resources=of_topic("ResourceArn"))
async def tag_resource(call: Call, request: Request) -> Answer:
    new = tags.given(request["Tags"])
    return await _retag(call, request["ResourceArn"], lambda old: tags.merged(old, new))


@ops("UntagResource", resources=of_topic("ResourceArn"))
async def untag_resource(call: Call, request: Request) -> Answer:
    return await _retag(call, request["ResourceArn"], lambda old: without(old, request["TagKeys"]))


@ops("ListTagsForResource", resources=of_topic("ResourceArn"))
async def list_tags_for_resource(call: Call, request: Request) -> Answer:
    found = _tagged(call.store, names.topic_place(call, request["ResourceArn"], "ResourceArn"))
    return {"Tags": tags.shown(found.spec.tags)}
