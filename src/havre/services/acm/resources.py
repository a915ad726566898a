"""Certificates as ACM keeps them. Operations write specs; the reconciler of certificates writes their status.

The PEM texts and the private key are in the key pair of the same name (control.certificates).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from havre.control.certificates.reading import Facts
from havre.kernel.resource import Kind, NoStatus, Resource, scoped
from havre.store.ports import Reader

DAYS_BEFORE_EXPIRY = 45
ISSUED_HERE, IMPORTED = "AMAZON_ISSUED", "IMPORTED"
PENDING, ISSUED, EXPIRED, REVOKED = "PENDING_VALIDATION", "ISSUED", "EXPIRED", "REVOKED"


class Certificate(msgspec.Struct, frozen=True):
    """``names``: the domain first. ``email_domains``: domain → the one that mail would go to. ``token`` is the client's.
    ``renewals``: how often RenewCertificate was asked for. ``revoked``: when, with the reason."""

    type: str
    names: tuple[str, ...]
    algorithm: str
    method: str = ""
    email_domains: Mapping[str, str] = {}
    exportable: bool = False
    token: str = ""
    tags: Mapping[str, str] = {}
    renewals: int = 0
    revoked: float | None = None
    revocation: str = ""

    @property
    def domain(self) -> str:
        return self.names[0] if self.names else ""


class CertificateStatus(msgspec.Struct, frozen=True):
    """``facts`` are of the certificate that is presented now, None before there is one. ``issued``: when the first one was;
    ``imported``: when it was brought (seconds since the epoch). ``renewals``: how many of the spec's are done. ``renewed``:
    when it was last issued anew. ``exported``: whether the key of the one that is presented now has been told.
    ``announced``: when an event last told that it is going to expire."""

    facts: Facts | None = None
    issued: float | None = None
    imported: float | None = None
    renewals: int = 0
    renewed: float | None = None
    exported: bool = False
    announced: float = 0.0


class AccountSettings(msgspec.Struct, frozen=True):
    """One an account and region, named ``settings``. ``days`` before a certificate expires, its events begin."""

    days: int = DAYS_BEFORE_EXPIRY


CertificateR: TypeAlias = Resource[Certificate, CertificateStatus]


def _token(r: CertificateR) -> str | None:
    return scoped(r.meta.account, r.meta.region, r.spec.token) if r.spec.token else None


CERTIFICATE: Kind[Certificate, CertificateStatus] = Kind(
    "acm.certificate", Certificate, CertificateStatus, {"token": _token, "arn": lambda r: r.meta.arn}
)
SETTINGS: Kind[AccountSettings, NoStatus] = Kind("acm.settings", AccountSettings, NoStatus)
KINDS = (CERTIFICATE, SETTINGS)


def days_before_expiry(reader: Reader, account: str, region: str) -> int:
    found = reader.get(SETTINGS, account, region, "settings")
    return found.spec.days if found is not None else DAYS_BEFORE_EXPIRY


def status_of(found: CertificateR, now: float) -> str:
    """Its Status, as AWS shows it."""
    if found.spec.revoked is not None:
        return REVOKED
    if found.status.facts is None:
        return PENDING
    return EXPIRED if found.status.facts.not_after <= now else ISSUED
