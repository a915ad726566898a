"""Account settings: of the account, and of one user or role."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.kernel.resource import NoStatus
from havre.services.ecs.operations.paging import paged
from havre.services.ecs.resources import SETTING, Setting
from havre.services.ecs.rules import settings as rules
from havre.services.ecs.rules.common import invalid
from havre.store.ports import Reader, Transaction

ops = Operations()


def _root(call: Call) -> str:
    return f"arn:aws:iam::{call.account}:root"


def caller(call: Call) -> str:
    """Whose settings hold for this call: a user, a role, "" for the root user, whose settings are the account's."""
    arn = call.principal.role or call.principal.arn
    return "" if arn == _root(call) else arn


def _principal(call: Call, request: Request) -> str:
    """Whose setting a request is about."""
    given: str | None = request.get("principalArn")
    if given is None:
        return caller(call)
    if not given.startswith(f"arn:aws:iam::{call.account}:"):
        raise invalid("Invalid principal. Specify the ARN of a user, a role or the root user of this account.")
    return "" if given == _root(call) else given


def _shape(call: Call, name: str, value: str, principal: str) -> dict[str, str]:
    kind = "aws_managed" if name in rules.MANAGED else "user"
    return {"name": name, "value": value, "principalArn": principal or _root(call), "type": kind}


def effective(call: Call, reader: Reader, name: str, principal: str) -> str:
    """What holds for a principal: its own setting, the account's, or AWS's default."""
    for whose in (principal, ""):
        found = reader.get(SETTING, call.account, call.region, f"{name}/{whose}")
        if found is not None:
            return found.spec.value
    return rules.DEFAULTS[name]


async def _put(call: Call, name: str, value: str, principal: str) -> Answer:
    rules.check(name, value)

    def put(tx: Transaction) -> None:
        key = f"{name}/{principal}"
        found = tx.get(SETTING, call.account, call.region, key)
        if found is not None:
            tx.update(found, spec=replace(found.spec, value=value))
            return
        at = {"account": call.account, "region": call.region, "name": key, "arn": call.arn(f"setting/{key}")}
        tx.create(SETTING, **at, spec=Setting(name, value, principal), status=NoStatus())

    await call.store.transact(put)
    return {"setting": _shape(call, name, value, principal)}


@ops("PutAccountSetting")
async def put_account_setting(call: Call, request: Request) -> Answer:
    return await _put(call, request["name"], request["value"], _principal(call, request))


@ops("PutAccountSettingDefault")
async def put_account_setting_default(call: Call, request: Request) -> Answer:
    return await _put(call, request["name"], request["value"], "")


@ops("DeleteAccountSetting")
async def delete_account_setting(call: Call, request: Request) -> Answer:
    name, principal = rules.known(request["name"]), _principal(call, request)

    def delete(tx: Transaction) -> str:
        found = tx.get(SETTING, call.account, call.region, f"{name}/{principal}")
        if found is not None:
            tx.remove(found)
        return effective(call, tx, name, principal)

    return {"setting": _shape(call, name, await call.store.transact(delete), principal)}


@ops("ListAccountSettings")
async def list_account_settings(call: Call, request: Request) -> Answer:
    """Those that hold (effectiveSettings), or those that were set for the principal."""
    name, value, principal = request.get("name"), request.get("value"), _principal(call, request)
    names = [rules.known(name)] if name else sorted(rules.VALUES)
    if value is not None and not name:
        raise invalid("A setting value needs the name of the setting.")
    rows = []
    for each in names:
        own = call.store.get(SETTING, call.account, call.region, f"{each}/{principal}")
        if own is None and not request.get("effectiveSettings"):
            continue
        row = _shape(call, each, effective(call, call.store, each, principal), principal)
        if value in (None, row["value"]):
            rows.append(row)
    limited = {**request, "maxResults": request.get("maxResults") or 10}
    shown, token = paged(call, limited, rows, lambda row: row["name"])
    answer: dict[str, Any] = {"settings": shown, "nextToken": token}
    return answer
