"""An event in the hand: by what it is tried, and whom its end is told."""

from __future__ import annotations

import msgspec

from havre.core.invoking import retries
from havre.core.invoking.records import THROTTLED
from havre.core.invoking.retries import Policy
from havre.kernel.errors import ApiError
from havre.kernel.function import Invocation
from havre.services.lambda_.invoking.events import Event, Where, Will
from havre.services.lambda_.invoking.targets import Target
from havre.services.lambda_.resources import EventInvokeSpec

SERVICE = 500
DESTINATION, DEAD_LETTER, STATUS = "destination", "dead-letter", "change of status"


class Taken(msgspec.Struct):
    """An event that is being tried, with what it is tried by now."""

    where: Where
    number: int
    event: Event
    body: bytes
    target: Target
    spec: EventInvokeSpec | None

    @property
    def policy(self) -> Policy:
        return policy_of(self.spec)


def policy_of(spec: EventInvokeSpec | None) -> Policy:
    if spec is None:
        return Policy()
    return Policy(
        retries.MOST_ATTEMPTS if spec.retries is None else spec.retries,
        retries.LONGEST_AGE if spec.age is None else spec.age,
    )


def will(target: Target, spec: EventInvokeSpec | None) -> Will:
    """What holds now, for the case that ``target`` is deleted."""
    policy = policy_of(spec)
    failure, dead_letter = (spec.on_failure if spec is not None else "") or "", target.dead_letter("")
    return Will(policy.attempts, policy.age, failure, dead_letter, target.role("") if failure or dead_letter else "")


def heirs(left: Will) -> tuple[tuple[str, str], ...]:
    """Of whom is to be told, as ``addresses``."""
    return tuple((kind, arn) for kind, arn in ((DESTINATION, left.on_failure), (DEAD_LETTER, left.dead_letter)) if arn)


def addresses(taken: Taken, condition: str, version: str) -> tuple[tuple[str, str], ...]:
    """Of whom is to be told, each with its kind. ``version`` ran, "" for none."""
    spec = taken.spec
    if condition == retries.SUCCESS:
        arn = spec.on_success if spec is not None else None
        return ((DESTINATION, arn),) if arn else ()
    failure = spec.on_failure if spec is not None else None
    found = ((DESTINATION, failure), (DEAD_LETTER, taken.target.dead_letter(version)))
    return tuple((kind, arn) for kind, arn in found if arn)


def invocation(event: Event, payload: bytes) -> Invocation:
    return Invocation(event.request_id, event.arn, payload, trace=event.trace, tenant=event.tenant)


def ran(event: Event) -> Event:
    tried = msgspec.structs.replace(event.tried, runs=event.tried.runs + 1)
    return msgspec.structs.replace(event, tried=tried)


def due_at(event: Event, due: float) -> Event:
    return msgspec.structs.replace(event, tried=msgspec.structs.replace(event.tried, due=due))


def status_of(error: ApiError) -> int:
    if error.code == "TooManyRequestsException":
        return THROTTLED
    return error.status or SERVICE
