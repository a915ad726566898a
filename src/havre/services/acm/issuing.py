"""Issues what was requested, and issues anew what is in use before it expires."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from havre.control.certificates.authority import Authority
from havre.control.certificates.reading import certificate_of, facts
from havre.control.certificates.records import KEY_PAIR, USE, users
from havre.control.deps import ReconcilerDeps
from havre.control.reconciler import Executor
from havre.kernel.effects import NOTHING, Effect, Plan
from havre.kernel.resource import Key
from havre.services.acm.present import eligible
from havre.services.acm.resources import CERTIFICATE, ISSUED_HERE, CertificateR
from havre.store.ports import Change, Transaction

RENEW_BEFORE = 45 * 86400.0
"""Seconds before a certificate in use expires at which it is issued anew: AWS's."""
RESYNC = 3600.0


class Issue(Effect, frozen=True):
    """Issue the certificate of this name. ``renewals``: how many renewals that were asked for are done by it; ``after``:
    the fingerprint of the certificate that it takes the place of ("" none)."""

    account: str
    region: str
    name: str
    renewals: int
    after: str


class Seen(msgspec.Struct, frozen=True):
    certificate: CertificateR
    used: bool
    now: float


class Issuing:
    """Keys are certificates."""

    name = "acm.certificate"
    watches: tuple[str, ...] = (CERTIFICATE.name, USE.name)
    resync = RESYNC

    def __init__(self, deps: ReconcilerDeps, authority: Authority) -> None:
        self._deps, self._authority = deps, authority

    @property
    def executors(self) -> Mapping[type[Effect], Executor]:
        return {Issue: self.issue}

    def all_keys(self) -> Iterable[Key]:
        return [r.key for r in self._deps.store.list(CERTIFICATE)]

    def keys_of(self, change: Change) -> Iterable[Key]:
        if change.key.kind == CERTIFICATE.name:
            return (change.key,) if change.new is not None else ()
        arns = {r.spec.certificate for r in (change.old, change.new) if r is not None}
        return {key for arn in arns if (key := self.key_of(arn)) is not None}

    def key_of(self, arn: str) -> Key | None:
        found = self._deps.store.first(CERTIFICATE, "arn", arn)
        return found.key if found is not None else None

    async def observe(self, key: Any) -> Seen | None:
        found = self._deps.store.get(CERTIFICATE, key.account, key.region, key.name)
        if found is None:
            return None
        return Seen(found, bool(users(self._deps.store, found.meta.arn)), self._deps.world.now())

    def decide(self, seen: Seen) -> Plan:
        found = seen.certificate
        spec, status = found.spec, found.status
        if spec.type != ISSUED_HERE or spec.revoked is not None:
            return NOTHING
        if status.facts is None:
            return Plan((_issue(found),), reasons=("It waits to be issued by this installation's authority.",))
        if not eligible(found, seen.used, seen.now):
            return Plan(reasons=("It is not issued anew: nothing uses it, or it has expired.",))
        due = status.facts.not_after - RENEW_BEFORE
        if spec.renewals > status.renewals or due <= seen.now:
            return Plan((_issue(found),), reasons=("It is being issued anew.",))
        return Plan(wake_at=due, reasons=("It is issued, and will be issued anew before it expires.",))

    async def issue(self, effect: Issue) -> None:
        store = self._deps.store
        found = store.get(CERTIFICATE, effect.account, effect.region, effect.name)
        if found is None:
            return
        now = self._deps.world.now()
        pair = await asyncio.to_thread(self._authority.issue, found.spec.names, found.spec.algorithm, now)
        told = await asyncio.to_thread(lambda: facts(certificate_of(pair.certificate.encode())))

        def change(tx: Transaction) -> None:
            current = tx.get(CERTIFICATE, effect.account, effect.region, effect.name)
            old = tx.get(KEY_PAIR, effect.account, effect.region, effect.name)
            if current is None or old is None or current.spec.revoked is not None:
                return
            before = current.status.facts
            if (before.fingerprint if before else "") != effect.after:
                return
            status = replace(current.status, facts=told, issued=now, renewals=effect.renewals, exported=False)
            tx.update(current, status=status if before is None else replace(status, renewed=now))
            tx.update(old, spec=pair)

        await store.transact(change)


def _issue(found: CertificateR) -> Issue:
    meta, before = found.meta, found.status.facts
    after = before.fingerprint if before else ""
    return Issue(f"{meta.arn} {after}", meta.account, meta.region, meta.name, found.spec.renewals, after)
