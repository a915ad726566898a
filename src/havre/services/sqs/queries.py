"""Which queue a request means: names, URLs, ARNs; and the queue itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from havre.control.operation import Call, Request
from havre.kernel.arn import Arn, arn
from havre.services.sqs.errors import foreign, no_queue, not_an_address
from havre.services.sqs.resources import QUEUE, Queue
from havre.store.ports import Reader

_ACCOUNT = re.compile("[0-9]{12}").fullmatch


class Address(NamedTuple):
    account: str
    name: str


def address(url: str) -> Address:
    """What a queue's URL names; of the host nothing is read, for a queue is reached by many names of this installation.

    Raises ApiError InvalidAddress.
    """
    try:
        path = urlsplit(url).path if "://" in url else url if url.startswith("/") else ""
    except ValueError:
        raise not_an_address(url) from None
    parts = path.strip("/").split("/")
    if len(parts) < 2 or not _ACCOUNT(parts[-2]) or not parts[-1]:
        raise not_an_address(url)
    return Address(parts[-2], parts[-1])


def url(call: Call, account: str, name: str) -> str:
    """By the host that the client knows: some clients post to a queue's URL, and a container may know no other way here."""
    return f"{call.origin or call.site.endpoint}/{account}/{name}"


def of_url(call: Call, request: Request) -> Sequence[str]:
    account, name = address(request["QueueUrl"])
    return (arn("sqs", call.region, account, name),)


def of_name(call: Call, request: Request) -> Sequence[str]:
    return (arn("sqs", call.region, request.get("QueueOwnerAWSAccountId") or call.account, request["QueueName"]),)


def tags_of(call: Call, request: Request) -> Mapping[str, str]:
    """The condition keys that the queue's tags make."""
    account, name = address(request["QueueUrl"])
    queue = call.store.get(QUEUE, account, call.region, name)
    return {} if queue is None else {f"aws:ResourceTag/{key}": value for key, value in queue.spec.tags.items()}


def found(call: Call, request: Request, store: Reader | None = None) -> Queue:
    """The queue of ``QueueUrl``. Raises ApiError QueueDoesNotExist."""
    account, name = address(request["QueueUrl"])
    queue = (store or call.store).get(QUEUE, account, call.region, name)
    if queue is None:
        raise no_queue()
    return queue


def own(call: Call, request: Request, store: Reader | None = None) -> Queue:
    """The same, for what only the owner's account may do, whatever policies say."""
    if address(request["QueueUrl"]).account != call.account and not call.principal.service:
        raise foreign(call.operation)
    return found(call, request, store)


def by_arn(store: Reader, text: str) -> Queue | None:
    """None as well for what is no queue's ARN."""
    try:
        parsed = Arn.parse(text)
    except ValueError:
        return None
    if parsed.service != "sqs":
        return None
    return store.get(QUEUE, parsed.account, parsed.region, parsed.resource)
