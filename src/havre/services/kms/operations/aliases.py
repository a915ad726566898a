"""Aliases: names of keys that can be given to other keys."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.kernel.errors import ApiError
from havre.kernel.resource import NoStatus
from havre.services.kms import conditions, errors, managed, paging, present, queries
from havre.services.kms.resources import ALIAS, Alias, AliasR, KeyR
from havre.store.ports import Reader, Transaction

ops = Operations()
_NAME = re.compile(r"alias/[a-zA-Z0-9/_-]+").fullmatch


def _both(call: Call, request: Request) -> Sequence[str]:
    """IAM decides on the alias and on the key."""
    arns = [call.arn(request["AliasName"])]
    if request.get("TargetKeyId"):
        return [*arns, queries.arn_of(call, request["TargetKeyId"])]
    found = call.store.get(ALIAS, call.account, call.region, request["AliasName"])
    return [*arns, call.arn(f"key/{found.spec.key}")] if found is not None else arns


def _check_name(call: Call, name: str) -> None:
    if not name.startswith("alias/"):
        raise errors.invalid(
            'Alias must start with the prefix "alias/". Please see '
            "https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html"
        )
    if name.startswith(managed.PREFIX):
        raise ApiError("NotAuthorizedException", "")
    if _NAME(name) is None:
        raise ApiError("InvalidAliasNameException", f"{name} contains invalid characters for an alias")


def _target(call: Call, reader: Reader, text: str) -> KeyR:
    """A key of the same account, that stays. Raises ApiError."""
    if "alias/" in text:
        raise errors.invalid("Aliases must refer to keys. Not aliases")
    found = queries.own(call, reader, text)
    if found.meta.account != call.account:
        raise errors.no_key(found.meta.arn)
    if found.spec.deletion is not None:
        raise errors.wrong_state(found.meta.arn, "pending deletion")
    return found


def _there(call: Call, reader: Reader, name: str) -> AliasR:
    found = reader.get(ALIAS, call.account, call.region, name)
    if found is None:
        raise errors.no_alias(call.arn(name))
    return found


@ops("CreateAlias", resources=_both, conditions=conditions.of_request, about=conditions.of_key)
async def create_alias(call: Call, request: Request) -> Answer:
    name = request["AliasName"]
    _check_name(call, name)

    def change(tx: Transaction) -> None:
        key = _target(call, tx, request["TargetKeyId"])
        if tx.get(ALIAS, call.account, call.region, name) is not None:
            raise ApiError("AlreadyExistsException", f"An alias with the name {call.arn(name)} already exists")
        where = {"account": call.account, "region": call.region, "name": name, "arn": call.arn(name)}
        tx.create(ALIAS, **where, spec=Alias(key.meta.name, call.now), status=NoStatus())

    await call.store.transact(change)
    return {}


@ops("UpdateAlias", resources=_both, conditions=conditions.of_request, about=conditions.of_key)
async def update_alias(call: Call, request: Request) -> Answer:
    """The new key must be of the same kind."""
    name = request["AliasName"]
    _check_name(call, name)

    def change(tx: Transaction) -> None:
        alias, key = _there(call, tx, name), _target(call, tx, request["TargetKeyId"])
        old = queries.alive(tx, call.account, call.region, alias.spec.key, call.now)
        if old is not None and (old.spec.usage, old.spec.spec) != (key.spec.usage, key.spec.spec):
            raise errors.invalid("Alias cannot be changed to a KMS key with a different key type or key usage.")
        tx.update(alias, spec=replace(alias.spec, key=key.meta.name, modified=call.now))

    await call.store.transact(change)
    return {}


@ops("DeleteAlias", resources=_both, conditions=conditions.of_request, about=conditions.of_key)
async def delete_alias(call: Call, request: Request) -> Answer:
    _check_name(call, request["AliasName"])
    await call.store.transact(lambda tx: tx.remove(_there(call, tx, request["AliasName"])))
    return {}


@ops("ListAliases")
async def list_aliases(call: Call, request: Request) -> Answer:
    """Those that AWS has for its services are there before their keys are."""
    found = {r.meta.name: present.alias(r) for r in call.store.list(ALIAS, call.account, call.region)}
    if request.get("KeyId"):
        key = queries.key(call, call.store, request["KeyId"], alias=False)
        found = {r.meta.name: present.alias(r) for r in queries.aliases(call.store, key)}
    else:
        for name in managed.ALIASES - found.keys():
            found[name] = {"AliasName": name, "AliasArn": call.arn(name)}
    shown, rest = paging.page(call, request, list(found.values()), lambda alias: str(alias["AliasName"]), 50)
    return {"Aliases": shown, **rest}
