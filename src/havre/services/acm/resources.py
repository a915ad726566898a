"""Certificates as ACM keeps them. Operations write specs; the reconciler of certificates writes their status.

The PEM texts and the private key are in the key pair of the same name (control.certificates).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from havre.control.certificates.reading import Facts
from havre.kernel.resource import Kind, Resource, scoped

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
    when it was last issued anew. ``exported``: whether the key of the one that is presented now has been told."""

    facts: Facts | None = None
    issued: float | None = None
    imported: float | None = None
    renewals: int = 0
    renewed: float | None = None
    exported: bool = False


CertificateR: TypeAlias = Resource[Certificate, CertificateStatus]


def _token(r: CertificateR) -> str | None:
    return scoped(r.meta.account, r.meta.region, r.spec.token) if r.spec.token else None


CERTIFICATE: Kind[Certificate, CertificateStatus] = Kind(
    "acm.certificate", Certificate, CertificateStatus, {"token": _token, "arn": lambda r: r.meta.arn}
)
KINDS = (CERTIFICATE,)


def status_of(found: CertificateR, now: float) -> str:
    """Its Status, as AWS shows it."""
    if found.spec.revoked is not None:
        return REVOKED
    if found.status.facts is None:
        return PENDING
    return EXPIRED if found.status.facts.not_after <= now else ISSUED
