"""Keys that are about to do something: there, in a fit state, for that use, with their material at hand."""

from __future__ import annotations

import asyncio

from havre.control.operation import Call, Request
from havre.kernel.resource import NoStatus
from havre.services.kms import crypto, errors, managed, queries
from havre.services.kms.resources import ALIAS, AWS, ENCRYPT, KEY, SYMMETRIC, Alias, Key, KeyR, Material
from havre.services.kms.vault import Vault
from havre.store.ports import Transaction


async def found(vault: Vault, call: Call, text: str) -> KeyR:
    """The key, made first if it is an AWS managed one that nobody has used yet. Raises ApiError NotFoundException."""
    name = queries.named(call, text)
    id = queries.target(call.store, name)
    alias = managed.alias_of(name.account, name.region, id) if id and name.account == call.account else ""
    if alias and call.store.get(KEY, name.account, name.region, id) is None:
        await _make_managed(vault, call, alias, id)
    return queries.key(call, call.store, text)


async def usable(vault: Vault, call: Call, text: str, *usages: str) -> KeyR:
    """Raises ApiError unless the key is there, enabled, and for one of these usages."""
    key = await found(vault, call, text)
    check_state(key)
    check_usage(key, call.operation, *usages)
    return key


def check_state(key: KeyR) -> None:
    if key.spec.deletion is not None:
        raise errors.wrong_state(key.meta.arn, "pending deletion")
    if not key.spec.enabled:
        raise errors.disabled(key.meta.arn)


def check_usage(key: KeyR, operation: str, *usages: str) -> None:
    if key.spec.usage not in usages:
        raise errors.wrong_usage(key.meta.arn, key.spec.usage, operation)


def check_request(request: Request) -> None:
    """What no key here can do. Raises ApiError."""
    if request.get("Recipient"):
        raise errors.absent("Recipient: there are no Nitro enclaves")


def check_dry_run(request: Request) -> None:
    """Last of all: the request would have succeeded."""
    if request.get("DryRun"):
        raise errors.dry_run()


async def material(vault: Vault, spec: str, arn: str, now: float, why: str = "") -> Material:
    import secrets

    made = await asyncio.to_thread(crypto.make, spec)
    return Material(secrets.token_bytes(crypto.MATERIAL_ID), vault.seal(made, arn), now, why)


def current(vault: Vault, key: KeyR) -> bytes:
    return vault.open(key.spec.materials[-1].sealed, key.meta.arn)


async def _make_managed(vault: Vault, call: Call, alias: str, id: str) -> None:
    account, region = call.account, call.region
    arn = queries.Named(account, region, id).arn
    made = await material(vault, SYMMETRIC, arn, call.now)
    key = Key(
        ENCRYPT, SYMMETRIC, managed.policy(account, region, alias), (made,), managed.description(alias),
        manager=AWS, period=365, rotated=call.now,
    )  # fmt: skip

    def change(tx: Transaction) -> None:
        if tx.get(KEY, account, region, id) is not None:
            return
        tx.create(KEY, account=account, region=region, name=id, arn=arn, spec=key, status=NoStatus())
        where = queries.Named(account, region, alias).arn
        tx.create(
            ALIAS, account=account, region=region, name=alias, arn=where, spec=Alias(id, call.now), status=NoStatus()
        )

    await call.store.transact(change)
