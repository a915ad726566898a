"""Issues what was requested, issues anew what is in use before it expires, and tells what is going to expire."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from havre.control.certificates.authority import Authority
from havre.control.certificates.reading import certificate_of, facts
from havre.control.certificates.records import KEY_PAIR, USE, users
from havre.control.deps import ReconcilerDeps
from havre.control.reconciler import Executor
from havre.kernel.effects import NOTHING, Effect, Plan, Update
from havre.kernel.errors import Permanent, Temporary
from havre.kernel.resource import Key
from havre.services.acm.present import eligible
from havre.services.acm.resources import CERTIFICATE, SETTINGS, CertificateR, days_before_expiry
from havre.store.ports import Change, Transaction

RENEW_BEFORE = 45 * 86400.0
"""Seconds before a certificate in use expires at which it is issued anew: AWS's."""
RESYNC = 3600.0
DAY = 86400.0
SERVICE = "acm.amazonaws.com"


class Issue(Effect, frozen=True):
    """Issue the certificate of this name. ``renewals``: how many renewals that were asked for are done by it; ``after``:
    the fingerprint of the certificate that it takes the place of ("" none)."""

    account: str
    region: str
    name: str
    renewals: int
    after: str


class Announce(Effect, frozen=True):
    """Tell EventBridge that the certificate of this name expires in so many days."""

    account: str
    region: str
    name: str
    days: int


class Seen(msgspec.Struct, frozen=True):
    """``warned``: seconds before a certificate expires at which events begin to tell of it."""

    certificate: CertificateR
    used: bool
    now: float
    warned: float = 0.0


class Issuing:
    """Keys are certificates."""

    name = "acm.certificate"
    watches: tuple[str, ...] = (CERTIFICATE.name, USE.name, SETTINGS.name)
    resync = RESYNC

    def __init__(self, deps: ReconcilerDeps, authority: Authority) -> None:
        self._deps, self._authority = deps, authority

    @property
    def executors(self) -> Mapping[type[Effect], Executor]:
        return {Issue: self.issue, Announce: self.announce}

    def all_keys(self) -> Iterable[Key]:
        return [r.key for r in self._deps.store.list(CERTIFICATE)]

    def keys_of(self, change: Change) -> Iterable[Key]:
        if change.key.kind == CERTIFICATE.name:
            return (change.key,) if change.new is not None else ()
        if change.key.kind == SETTINGS.name:
            return [r.key for r in self._deps.store.list(CERTIFICATE, change.key.account, change.key.region)]
        arns = {r.spec.certificate for r in (change.old, change.new) if r is not None}
        return {key for arn in arns if (key := self.key_of(arn)) is not None}

    def key_of(self, arn: str) -> Key | None:
        found = self._deps.store.first(CERTIFICATE, "arn", arn)
        return found.key if found is not None else None

    async def observe(self, key: Any) -> Seen | None:
        found = self._deps.store.get(CERTIFICATE, key.account, key.region, key.name)
        if found is None:
            return None
        store, used = self._deps.store, bool(users(self._deps.store, found.meta.arn))
        warned = days_before_expiry(store, found.meta.account, found.meta.region) * DAY
        return Seen(found, used, self._deps.world.now(), warned)

    def decide(self, seen: Seen) -> Plan:
        found = seen.certificate
        spec, status = found.spec, found.status
        if spec.revoked is not None:
            return NOTHING
        if status.facts is None:
            return Plan((_issue(found),), reasons=("It waits to be issued by this installation's authority.",))
        renewed = status.facts.not_after - RENEW_BEFORE if eligible(found, seen.used, seen.now) else None
        if renewed is not None and (spec.renewals > status.renewals or renewed <= seen.now):
            return Plan((_issue(found),), reasons=("It is being issued anew.",))
        told = _announcement(seen, status.facts.not_after)
        words = "It is issued, and will be issued anew before it expires."
        if renewed is None:
            words = "It is not issued anew: it was imported, nothing uses it, or it has expired."
        if told is not None and told <= seen.now:
            days = int((status.facts.not_after - seen.now) // DAY)
            meta = found.meta
            effect = Announce(f"{meta.arn} {days}", meta.account, meta.region, meta.name, days)
            announced = replace(status, announced=seen.now)
            return Plan((effect,), (Update(found, status=announced),), reasons=(words,))
        return Plan(wake_at=min((at for at in (renewed, told) if at is not None), default=None), reasons=(words,))

    async def announce(self, effect: Announce) -> None:
        found = self._deps.store.get(CERTIFICATE, effect.account, effect.region, effect.name)
        if found is None:
            return
        detail = {"DaysToExpiry": effect.days, "CommonName": found.spec.domain}
        entry = {
            "Source": "aws.acm",
            "DetailType": "ACM Certificate Approaching Expiration",
            "Resources": [found.meta.arn],
            "Detail": json.dumps(detail),
        }
        aws = self._deps.aws_for(effect.account, effect.region, SERVICE)
        await aws("events", "PutEvents", {"Entries": [entry]})

    async def issue(self, effect: Issue) -> None:
        store = self._deps.store
        found = store.get(CERTIFICATE, effect.account, effect.region, effect.name)
        if found is None:
            return
        now = self._deps.world.now()
        try:
            pair = await asyncio.to_thread(self._authority.issue, found.spec.names, found.spec.algorithm, now)
        except OSError as error:
            raise Temporary(f"the authority's key cannot be kept: {error.strerror}", 10) from error
        except ValueError as error:
            raise Permanent(f"the authority's key in the state directory cannot be used: {error}") from error
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


def _announcement(seen: Seen, not_after: float) -> float | None:
    """When an event is to tell next that it expires: once a day."""
    if seen.now >= not_after:
        return None
    return max(not_after - seen.warned, seen.certificate.status.announced + DAY)


def _issue(found: CertificateR) -> Issue:
    meta, before = found.meta, found.status.facts
    after = before.fingerprint if before else ""
    return Issue(f"{meta.arn} {after}", meta.account, meta.region, meta.name, found.spec.renewals, after)
