"""Values of containers' ``secrets``, from Parameter Store and Secrets Manager, by the permissions of the execution role.

The rule: a value is in no record. It is fetched once before the task goes to a node, so that a task whose secrets cannot be
had never starts and says why, and again when its node makes the container, which keeps it in the engine alone.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from havre.control.operation import Aws
from havre.kernel.errors import ApiError, Permanent, Temporary
from havre.services.ecs.life import INITIALIZATION
from havre.services.ecs.queries import TaskRecord
from havre.services.ecs.workload import role

Caller = Callable[[str, str, str, str], Awaitable[Aws]]
"""account, region, role, task → AWS as that role."""
_RETRIED = "service call has been retried 1 time(s): "
_SECRET_ARN = 7
"""Parts of a secret's ARN; a key of its JSON, a stage and a version may follow."""
_MOST_PARAMETERS = 10
"""Of one GetParameters."""


class Place(NamedTuple):
    """Where the value of one ``valueFrom`` lies. ``key``: of the JSON that the secret is, "" for all of it."""

    service: str
    region: str
    id: str
    key: str = ""
    stage: str = ""
    version: str = ""


def place_of(value_from: str, region: str) -> Place:
    """``region`` is the task's, which names of parameters are of."""
    parts = value_from.split(":")
    if parts[0] != "arn":
        return Place("ssm", region, value_from)
    if parts[2] == "ssm":
        return Place("ssm", parts[3], value_from)
    key, stage, version = (*parts[_SECRET_ARN:], "", "", "")[:3]
    return Place("secretsmanager", parts[3], ":".join(parts[:_SECRET_ARN]), key, stage, version)


async def problem(caller: Caller, task: TaskRecord, body: Mapping[str, Any]) -> str:
    """Why the task cannot start, "" if nothing is wrong with its secrets."""
    wanted = {s["valueFrom"] for c in body["containerDefinitions"] for s in c.get("secrets", ())}
    if not wanted:
        return ""
    m = task.meta
    execution = role(body, task.spec.overrides, "executionRoleArn", m.account)
    try:
        await values(caller, (m.account, m.region, execution, m.name), wanted)
    except Permanent as refused:
        return f"{INITIALIZATION}{refused.reason}"
    return ""


async def values(caller: Caller, who: tuple[str, str, str, str], wanted: set[str]) -> Mapping[str, str]:
    """``valueFrom`` → value. ``who``: account, region, execution role and task. Raises Permanent in ECS's words, Temporary
    when a service does not answer."""
    return await fetched(caller, who, {each: place_of(each, who[1]) for each in sorted(wanted)})


async def fetched(caller: Caller, who: tuple[str, str, str, str], places: Mapping[str, Place]) -> Mapping[str, str]:
    """The same of places that are known."""
    account, _, execution, task = who
    if not execution:
        raise Permanent("unable to find execution role credentials")
    found: dict[str, str] = {}
    for there in sorted({place.region for place in places.values()}):
        try:
            aws = await caller(account, there, execution, task)
        except ApiError as refusal:
            raise _refused(refusal, "unable to assume the execution role: ") from None
        here = {each: place for each, place in places.items() if place.region == there}
        found |= await _parameters(aws, {e: p.id for e, p in here.items() if p.service == "ssm"})
        for each, place in here.items():
            if place.service == "secretsmanager":
                found[each] = await _secret(aws, place)
    return found


def _refused(refusal: ApiError, told: str) -> Exception:
    if refusal.status is not None and refusal.status >= 500:
        return Temporary(refusal.message or refusal.code)
    return Permanent(f"{told}{refusal.code}: {refusal.message}")


async def _parameters(aws: Aws, wanted: Mapping[str, str]) -> Mapping[str, str]:
    names, told = sorted(set(wanted.values())), "unable to retrieve secrets from ssm: "
    got: dict[str, str] = {}
    for at in range(0, len(names), _MOST_PARAMETERS):
        try:
            answer = await aws(
                "ssm", "GetParameters", {"Names": names[at : at + _MOST_PARAMETERS], "WithDecryption": True}
            )
        except ApiError as refusal:
            raise _refused(refusal, f"{told}{_RETRIED}") from None
        for parameter in answer["Parameters"]:
            chosen = parameter.get("Selector") or ""
            got |= {f"{parameter[m]}{chosen}": parameter["Value"] for m in ("Name", "ARN") if m in parameter}
    if invalid := [name for name in names if name not in got]:
        raise Permanent(f"{told}{_RETRIED}invalid parameters: {', '.join(invalid)}")
    return {each: got[name] for each, name in wanted.items()}


async def _secret(aws: Aws, place: Place) -> str:
    told = "unable to retrieve secret from asm: "
    request = {"SecretId": place.id, "VersionStage": place.stage, "VersionId": place.version}
    try:
        answer = await aws("secretsmanager", "GetSecretValue", {k: v for k, v in request.items() if v})
    except ApiError as refusal:
        raise _refused(refusal, f"{told}{_RETRIED}failed to fetch secret {place.id} from secrets manager: ") from None
    text: str | None = answer.get("SecretString")
    if text is None:
        raise Permanent(f"{told}secret {place.id} is binary, which no environment variable can be")
    return text if not place.key else _member(text, place, told)


def _member(text: str, place: Place, told: str) -> str:
    try:
        members = json.loads(text)
    except ValueError:
        members = None
    if not isinstance(members, dict):
        raise Permanent(f"{told}secret {place.id} is no JSON object, of which a key was asked for")
    if place.key not in members:
        raise Permanent(f"{told}retrieved secret from Secrets Manager did not contain json key {place.key}")
    value = members[place.key]
    return value if isinstance(value, str) else json.dumps(value)
