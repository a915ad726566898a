"""Destinations and dead-letter queues: reached by the function's role, in the form that each of them takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from havre.control.deps import ReconcilerDeps
from havre.control.operation import Aws, Site
from havre.control.roles import Roles
from havre.core.invoking import records, retries
from havre.core.invoking.records import Told
from havre.kernel.errors import ApiError, Permanent, Temporary
from havre.kernel.function import session_name
from havre.services.lambda_.invoking.events import Event, Letter, Where
from havre.services.lambda_.invoking.taken import DEAD_LETTER, STATUS
from havre.services.lambda_.resources import LATEST
from havre.services.lambda_.roles import PRINCIPAL

KIB = 1024
MOST = {"sqs": 1024 * KIB, "sns": 256 * KIB, "events": 1024 * KIB, "lambda": 1024 * KIB}
"""Bytes of a record; payloads that make it longer are left out."""
STATUS_CHANGE = "Durable Execution Status Change"
PASSING = frozenset({"ServiceException", "ServiceUnavailable", "ServiceUnavailableException", "InternalFailure"})


class Destinations:
    """``queue.Courier`` over AWS's operations."""

    def __init__(self, deps: ReconcilerDeps) -> None:
        self._deps = deps
        self._roles = Roles(deps, PRINCIPAL)

    async def carry(self, where: Where, event: Event, letter: Letter, kind: str, arn: str) -> None:
        """See ``queue.Courier``."""
        if kind == STATUS:
            await self._tell_of_status(where, letter)
            return
        session = session_name(where.function)
        aws = await self._roles.acting(letter.role, where.account, where.region, session, event.trace)
        told = Told(
            event.request_id,
            event.arn if event.qualifier else f"{event.arn}:{LATEST}",
            event.outcome,
            event.tried.runs,
            letter.payload,
            letter.response,
            letter.version,
            letter.error,
            letter.status,
        )
        to = Receiver(arn.split(":")[2] if arn.count(":") >= 5 else "", arn, event.trace)
        now = self._deps.world.now()
        try:
            if kind == DEAD_LETTER:
                await dead_letter(aws, self._deps.site, to, told)
            elif to.service == "s3":
                key = records.object_key(where.function, now, self._deps.world.uuid())
                body = records.record(told, now)
                await aws("s3", "PutObject", {"Bucket": arn.split(":::", 1)[1], "Key": key, "Body": body})
            else:
                body = records.record(told, now, MOST.get(to.service))
                await destination(aws, self._deps.site, to, told, body)
        except ApiError as error:
            if error.code in PASSING:
                raise Temporary(f"{error.code}: {error.message}") from error
            raise

    async def _tell_of_status(self, where: Where, letter: Letter) -> None:
        """As Lambda itself, on the account's default bus."""
        entry = {
            "Source": "aws.lambda",
            "DetailType": STATUS_CHANGE,
            "Detail": letter.payload.decode(),
            "Resources": [],
        }
        aws = self._deps.aws_for(where.account, where.region, PRINCIPAL)
        _check(await aws("events", "PutEvents", {"Entries": [entry]}))


class Receiver(NamedTuple):
    """Whom to tell. ``trace`` goes on to whoever is called by that."""

    service: str
    arn: str
    trace: str


async def destination(aws: Aws, site: Site, to: Receiver, told: Told, body: bytes) -> None:
    """Raises Permanent for what is no destination."""
    service, arn, trace = to
    if service == "sqs" and not arn.endswith(".fifo"):
        await aws(
            "sqs", "SendMessage", {"QueueUrl": queue_url(site, arn), "MessageBody": body.decode(), **traced(trace)}
        )
    elif service == "sns" and not arn.endswith(".fifo"):
        await aws("sns", "Publish", {"TopicArn": arn, "Message": body.decode()})
    elif service == "lambda":
        await aws("lambda", "Invoke", {"FunctionName": arn, "InvocationType": "Event", "Payload": body})
    elif service == "events":
        await _put_event(aws, arn, told, body, trace)
    else:
        raise Permanent(f"{arn} is no destination that Lambda can send to")


async def _put_event(aws: Aws, arn: str, told: Told, body: bytes, trace: str) -> None:
    result = "Success" if told.condition == retries.SUCCESS else "Failure"
    entry = {
        "Source": "lambda",
        "DetailType": f"Lambda Function Invocation Result - {result}",
        "Resources": [arn, told.function],
        "Detail": body.decode(),
        "EventBusName": arn,
        **({"TraceHeader": trace} if trace else {}),
    }
    _check(await aws("events", "PutEvents", {"Entries": [entry]}))


def _check(answer: Mapping[str, Any]) -> None:
    """Raises Temporary."""
    if answer.get("FailedEntryCount"):
        failed = answer["Entries"][0]
        raise Temporary(f"{failed.get('ErrorCode')}: {failed.get('ErrorMessage')}")


async def dead_letter(aws: Aws, site: Site, to: Receiver, told: Told) -> None:
    """The event itself, with what went wrong in its attributes. Raises Permanent for what is no dead-letter queue."""
    service, arn, trace = to
    attributes = records.letter_attributes(told)
    body = told.payload.decode("utf-8", "replace")
    if service == "sqs" and not arn.endswith(".fifo"):
        request = {"QueueUrl": queue_url(site, arn), "MessageBody": body, "MessageAttributes": attributes}
        await aws("sqs", "SendMessage", {**request, **traced(trace)})
    elif service == "sns" and not arn.endswith(".fifo"):
        await aws("sns", "Publish", {"TopicArn": arn, "Message": body, "MessageAttributes": attributes})
    else:
        raise Permanent(f"{arn} is no dead-letter queue that Lambda can send to")


def queue_url(site: Site, arn: str) -> str:
    parts = arn.split(":")
    return f"{site.endpoint}/{parts[4]}/{parts[5]}"


def traced(trace: str) -> dict[str, Any]:
    """So that the consumer's function knows the chain that it is part of."""
    if not trace:
        return {}
    return {"MessageSystemAttributes": {"AWSTraceHeader": {"DataType": "String", "StringValue": trace}}}
