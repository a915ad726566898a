"""Describe, get, list."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from havre.control.certificates.records import KEY_PAIR, users
from havre.control.operation import Answer, Call, Operations, Request
from havre.services.acm import present, queries
from havre.services.acm.errors import in_progress, validation
from havre.services.acm.resources import CERTIFICATE, CertificateR, status_of

ops = Operations()
PAGE = 1000
DEFAULT_TYPES = ("RSA_1024", "RSA_2048")


@ops("DescribeCertificate", resources=queries.about())
async def describe_certificate(call: Call, request: Request) -> Answer:
    found = queries.certificate(call, call.store, request["CertificateArn"])
    used_by = users(call.store, found.meta.arn)
    return {"Certificate": present.detail(found, used_by, call.now, call.site.instance)}


@ops("GetCertificate", resources=queries.about())
async def get_certificate(call: Call, request: Request) -> Answer:
    found = queries.certificate(call, call.store, request["CertificateArn"])
    pair = call.store.get(KEY_PAIR, call.account, call.region, found.meta.name)
    if pair is None or found.status.facts is None:
        raise in_progress(found.meta.arn)
    return {"Certificate": pair.spec.certificate, "CertificateChain": pair.spec.chain or None}


@ops("ListCertificates")
async def list_certificates(call: Call, request: Request) -> Answer:
    if bool(request.get("SortBy")) != bool(request.get("SortOrder")):
        raise validation("SortBy and SortOrder must be specified together.")
    found = [r for r in call.store.list(CERTIFICATE, call.account, call.region) if _wanted(r, request, call.now)]
    ordered, key = _ordered(found, request)
    shown, token = queries.page(call, request, ordered, key, PAGE)
    summaries = [present.summary(r, bool(users(call.store, r.meta.arn)), call.now) for r in shown]
    return {"CertificateSummaryList": summaries, "NextToken": token}


def _ordered(
    found: Sequence[CertificateR], request: Request
) -> tuple[Sequence[CertificateR], Callable[[CertificateR], str]]:
    """In the order that is asked for, with the key of that order."""
    if not request.get("SortBy"):
        return found, lambda r: r.meta.name
    sign = -1.0 if request["SortOrder"] == "DESCENDING" else 1.0

    def key(r: CertificateR) -> str:
        return f"{sign * r.meta.created + 1e12:020.6f} {r.meta.name}"

    return sorted(found, key=key), key


def _wanted(found: CertificateR, request: Request, now: float) -> bool:
    statuses = request.get("CertificateStatuses")
    if statuses and status_of(found, now) not in statuses:
        return False
    summary = present.summary(found, False, now)
    origins = request.get("CertificateKeyPairOrigins")
    if origins and summary["CertificateKeyPairOrigin"] not in origins:
        return False
    return _includes(found, summary, request.get("Includes") or {})


def _includes(found: CertificateR, summary: Mapping[str, Any], includes: Mapping[str, Any]) -> bool:
    """Without keyTypes only RSA_1024 and RSA_2048 with a domain are listed, as by AWS."""
    types = includes.get("keyTypes")
    if found.spec.algorithm not in (types or DEFAULT_TYPES) or (not types and not found.spec.domain):
        return False
    for member, shown in (("keyUsage", "KeyUsages"), ("extendedKeyUsage", "ExtendedKeyUsages")):
        wanted = includes.get(member)
        if wanted and "ANY" not in wanted and not set(wanted) & set(summary[shown] or ["NONE"]):
            return False
    if includes.get("managedBy"):
        return False
    return includes.get("exportOption") in (None, summary["ExportOption"])


@ops("ListCertificateDomainValidations", resources=queries.about())
async def list_domain_validations(call: Call, request: Request) -> Answer:
    found = queries.certificate(call, call.store, request["CertificateArn"])
    options = present.validations(found, call.site.instance) if found.spec.method else []
    ordered = sorted(options, key=lambda each: str(each["DomainName"]))
    shown, token = queries.page(call, request, ordered, lambda each: str(each["DomainName"]), PAGE)
    return {"DomainValidationSummaryList": [_validation(each) for each in shown], "NextToken": token}


def _validation(each: Mapping[str, Any]) -> dict[str, Any]:
    if each["ValidationMethod"] == "DNS":
        challenge: dict[str, Any] = {"DnsValidationChallenge": {"ResourceRecord": each["ResourceRecord"]}}
    else:
        told = {"ValidationEmails": each["ValidationEmails"], "ValidationDomain": each["ValidationDomain"]}
        challenge = {"EmailValidationChallenge": told}
    active = {
        "ValidationMethod": each["ValidationMethod"],
        "ValidationChallenge": challenge,
        "ValidationStatus": each["ValidationStatus"],
    }
    return {"DomainName": each["DomainName"], "ActiveValidationConfiguration": active}
