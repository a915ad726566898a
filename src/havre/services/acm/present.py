"""Resources → AWS's shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from havre.control.certificates.authority import ORGANIZATION
from havre.kernel.errors import ApiError
from havre.services.acm import names
from havre.services.acm.resources import EXPIRED, IMPORTED, ISSUED, ISSUED_HERE, CertificateR, status_of

MOST_SUMMARIES = 100


def eligible(found: CertificateR, used: bool, now: float) -> bool:
    """Whether it is issued anew by itself."""
    return found.spec.type == ISSUED_HERE and status_of(found, now) == ISSUED and (used or found.status.exported)


def detail(found: CertificateR, used_by: Sequence[str], now: float, instance: str) -> dict[str, Any]:
    """CertificateDetail. ``instance`` makes the records of DNS validation this installation's own."""
    meta, spec, status, facts = found.meta, found.spec, found.status, found.status.facts
    own = spec.type == ISSUED_HERE
    shown: dict[str, Any] = {
        "CertificateArn": meta.arn,
        "DomainName": spec.domain or None,
        "SubjectAlternativeNames": list(spec.names) or None,
        "DomainValidationOptions": validations(found, instance) if own else None,
        "Subject": facts.subject if facts else f"CN={spec.domain}",
        "Issuer": facts.issuer if facts else ORGANIZATION,
        "CreatedAt": meta.created,
        "IssuedAt": status.issued,
        "ImportedAt": status.imported,
        "Status": status_of(found, now),
        "RevokedAt": spec.revoked,
        "RevocationReason": spec.revocation or None,
        "KeyAlgorithm": spec.algorithm,
        "SignatureAlgorithm": facts.signature if facts else "SHA256WITHRSA",
        "InUseBy": list(used_by),
        "Type": spec.type,
        "RenewalEligibility": "ELIGIBLE" if eligible(found, bool(used_by), now) else "INELIGIBLE",
        "Options": options(found),
        "CertificateKeyPairOrigin": _origin(found),
    }
    if facts is not None:
        shown |= {
            "Serial": facts.serial,
            "NotBefore": facts.not_before,
            "NotAfter": facts.not_after,
            "KeyUsages": [{"Name": name} for name in facts.usages],
            "ExtendedKeyUsages": [{"Name": name, "OID": oid} for name, oid in facts.extended],
        }
    if own and status.renewed is not None:
        told = {"RenewalStatus": "SUCCESS", "UpdatedAt": status.renewed}
        shown["RenewalSummary"] = {**told, "DomainValidationOptions": validations(found, instance)}
    return shown


def options(found: CertificateR) -> dict[str, str]:
    shown = {"CertificateTransparencyLoggingPreference": "ENABLED" if found.spec.type == ISSUED_HERE else "DISABLED"}
    if found.spec.type == ISSUED_HERE:
        shown["Export"] = "ENABLED" if found.spec.exportable else "DISABLED"
    return shown


def _origin(found: CertificateR) -> str:
    return "CUSTOMER_PROVIDED" if found.spec.type == IMPORTED else "AWS_MANAGED"


def validations(found: CertificateR, instance: str) -> list[dict[str, Any]]:
    """DomainValidation of each name."""
    spec = found.spec
    state = "SUCCESS" if found.status.facts is not None else "PENDING_VALIDATION"
    shown = []
    for name in spec.names:
        to = spec.email_domains.get(name) or name
        each: dict[str, Any] = {"DomainName": name, "ValidationDomain": to, "ValidationStatus": state}
        each["ValidationMethod"] = spec.method
        if spec.method == "DNS":
            each["ResourceRecord"] = names.record(instance, found.meta.account, name)
        else:
            each["ValidationEmails"] = names.addresses(to.removeprefix("*."))
        shown.append(each)
    return shown


def summary(found: CertificateR, used: bool, now: float) -> dict[str, Any]:
    meta, spec, status, facts = found.meta, found.spec, found.status, found.status.facts
    return {
        "CertificateArn": meta.arn,
        "DomainName": spec.domain or None,
        "SubjectAlternativeNameSummaries": list(spec.names[:MOST_SUMMARIES]),
        "HasAdditionalSubjectAlternativeNames": len(spec.names) > MOST_SUMMARIES,
        "Status": status_of(found, now),
        "Type": spec.type,
        "KeyAlgorithm": spec.algorithm,
        "KeyUsages": list(facts.usages) if facts else [],
        "ExtendedKeyUsages": [name for name, _ in facts.extended] if facts else [],
        "ExportOption": options(found).get("Export"),
        "InUse": used,
        "Exported": status.exported if spec.type == ISSUED_HERE else None,
        "RenewalEligibility": "ELIGIBLE" if eligible(found, used, now) else "INELIGIBLE",
        "NotBefore": facts.not_before if facts else None,
        "NotAfter": facts.not_after if facts else None,
        "CreatedAt": meta.created,
        "IssuedAt": status.issued,
        "ImportedAt": status.imported,
        "RevokedAt": spec.revoked,
        "CertificateKeyPairOrigin": _origin(found),
    }


def tags(found: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in sorted(found.items())]


def usable(found: CertificateR, now: float) -> None:
    """Raises what AWS answers where an issued certificate is asked for and there is none."""
    status = status_of(found, now)
    if found.status.facts is None:
        raise ApiError("RequestInProgressException", f"The certificate {found.meta.arn} has not been issued yet.")
    if status not in (ISSUED, EXPIRED):
        raise ApiError("InvalidStateException", f"The certificate {found.meta.arn} is {status}.")
