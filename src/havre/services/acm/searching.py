"""SearchCertificates: what of a certificate can be asked for, and whether a statement holds. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from havre.services.acm import present
from havre.services.acm.errors import validation
from havre.services.acm.resources import CertificateR

DEEPEST = 8
_SORTS = {
    "CREATED_AT": "CreatedAt",
    "STATUS": "Status",
    "RENEWAL_STATUS": "RenewalStatus",
    "EXPORTED": "Exported",
    "IN_USE": "InUse",
    "TYPE": "Type",
    "REVOKED_AT": "RevokedAt",
    "RENEWAL_ELIGIBILITY": "RenewalEligibility",
    "ISSUED_AT": "IssuedAt",
    "MANAGED_BY": "ManagedBy",
    "EXPORT_OPTION": "ExportOption",
    "VALIDATION_METHOD": "ValidationMethod",
    "IMPORTED_AT": "ImportedAt",
    "ACME_ENDPOINT_ARN": "AcmeEndpointArn",
    "ACME_ACCOUNT_ID": "AcmeAccountId",
    "CERTIFICATE_KEY_PAIR_ORIGIN": "CertificateKeyPairOrigin",
    "NOT_AFTER": "NotAfter",
    "NOT_BEFORE": "NotBefore",
    "KEY_ALGORITHM": "KeyAlgorithm",
}


def result(found: CertificateR, used: bool, now: float) -> dict[str, Any]:
    """CertificateSearchResult."""
    spec, facts, summary = found.spec, found.status.facts, present.summary(found, used, now)
    common, organization = facts.issued_by if facts is not None else ("", "")
    x509 = {
        "Issuer": {"CommonName": common or None, "Organization": organization or None},
        "Subject": {"CommonName": facts.common_name if facts is not None else spec.domain},
        "SubjectAlternativeNames": [{"DnsName": name} for name in spec.names],
        "ExtendedKeyUsages": summary["ExtendedKeyUsages"],
        "KeyAlgorithm": spec.algorithm,
        "KeyUsages": summary["KeyUsages"],
        "SerialNumber": facts.serial if facts is not None else None,
        "NotAfter": summary["NotAfter"],
        "NotBefore": summary["NotBefore"],
    }
    metadata = {name: summary[name] for name in _METADATA}
    metadata["RenewalStatus"] = "SUCCESS" if found.status.renewed is not None else None
    metadata["ValidationMethod"] = spec.method or None
    return {
        "CertificateArn": found.meta.arn,
        "X509Attributes": x509,
        "CertificateMetadata": {"AcmCertificateMetadata": metadata},
    }


_METADATA = (
    "CreatedAt",
    "Exported",
    "ImportedAt",
    "InUse",
    "IssuedAt",
    "RenewalEligibility",
    "RevokedAt",
    "Status",
    "Type",
    "ExportOption",
    "CertificateKeyPairOrigin",
)


def holds(statement: Mapping[str, Any], shown: Mapping[str, Any], depth: int = 0) -> bool:
    """Whether a CertificateFilterStatement holds for a result. Raises ValidationException."""
    if depth > DEEPEST:
        raise validation(f"A filter statement can be nested {DEEPEST} times at most.")
    if "And" in statement:
        return all(holds(each, shown, depth + 1) for each in statement["And"])
    if "Or" in statement:
        return any(holds(each, shown, depth + 1) for each in statement["Or"])
    if "Not" in statement:
        return not holds(statement["Not"], shown, depth + 1)
    return _one(statement.get("Filter") or {}, shown)


def _one(wanted: Mapping[str, Any], shown: Mapping[str, Any]) -> bool:
    if "CertificateArn" in wanted:
        return bool(shown["CertificateArn"] == wanted["CertificateArn"])
    metadata = shown["CertificateMetadata"]["AcmCertificateMetadata"]
    for name, value in (wanted.get("AcmCertificateMetadataFilter") or {}).items():
        return bool(metadata.get(name) == value)
    for name, value in (wanted.get("X509AttributeFilter") or {}).items():
        return _attribute(name, value, shown["X509Attributes"])
    raise validation("A filter must name what it asks for.")


def _attribute(name: str, wanted: Any, x509: Mapping[str, Any]) -> bool:
    if name == "Subject":
        return _text(wanted["CommonName"], [x509["Subject"]["CommonName"]])
    if name == "SubjectAlternativeName":
        return _text(wanted["DnsName"], [each["DnsName"] for each in x509["SubjectAlternativeNames"]])
    if name in ("NotAfter", "NotBefore"):
        at = x509[name]
        return at is not None and wanted.get("Start", at) <= at <= wanted.get("End", at)
    if name in ("KeyUsage", "ExtendedKeyUsage"):
        return wanted in x509[f"{name}s"]
    return bool(x509[name] == wanted)


def _text(wanted: Mapping[str, Any], values: list[str]) -> bool:
    text = wanted["Value"].lower()
    if wanted["ComparisonOperator"] == "EQUALS":
        return text in values
    return any(text in value for value in values)


def order(by: str) -> Callable[[Mapping[str, Any]], tuple[bool, Any, str]]:
    """What results are sorted by; those without a value come last."""

    def key(shown: Mapping[str, Any]) -> tuple[bool, Any, str]:
        arn = shown["CertificateArn"]
        if by in ("CERTIFICATE_ARN", "COMMON_NAME"):
            value = arn if by == "CERTIFICATE_ARN" else shown["X509Attributes"]["Subject"]["CommonName"]
        else:
            told = {**shown["X509Attributes"], **shown["CertificateMetadata"]["AcmCertificateMetadata"]}
            value = told.get(_SORTS[by])
        return (value is None, value if value is not None else "", arn)

    return key
