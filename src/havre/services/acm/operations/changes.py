"""What happens to certificates that are there: deleted, exported, renewed, revoked, other options."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from havre.control.certificates.reading import encrypted
from havre.control.certificates.records import KEY_PAIR, KeyPair, users
from havre.control.operation import Answer, Call, Operations, Request
from havre.kernel.errors import ApiError
from havre.services.acm import queries
from havre.services.acm.errors import in_progress, state, validation
from havre.services.acm.present import usable
from havre.services.acm.resources import ISSUED, ISSUED_HERE, PENDING, CertificateR, status_of
from havre.store.ports import Transaction

ops = Operations()


def _check_unused(tx: Transaction, arn: str, what: str) -> None:
    used_by = users(tx, arn)
    if used_by:
        raise ApiError(
            "ResourceInUseException", f"Certificate {arn} is in use and cannot be {what}: {', '.join(used_by)}"
        )


@ops("DeleteCertificate", resources=queries.about())
async def delete_certificate(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        found = queries.certificate(call, tx, request["CertificateArn"])
        _check_unused(tx, found.meta.arn, "deleted")
        pair = tx.get(KEY_PAIR, call.account, call.region, found.meta.name)
        if pair is not None:
            tx.remove(pair)
        tx.remove(found)

    await call.store.transact(change)
    return {}


@ops("ExportCertificate", resources=queries.about(), read_only=True)
async def export_certificate(call: Call, request: Request) -> Answer:
    """Only of certificates that were asked for as exportable, with the key under the passphrase."""
    found = queries.certificate(call, call.store, request["CertificateArn"])
    if found.spec.type != ISSUED_HERE or not found.spec.exportable:
        raise validation(f"Certificate ARN: {found.meta.arn} is not a private certificate, and not an exportable one.")
    usable(found, call.now)
    pair = call.store.get(KEY_PAIR, call.account, call.region, found.meta.name)
    assert pair is not None
    key = await asyncio.to_thread(encrypted, pair.spec.key, bytes(request["Passphrase"]))

    def change(tx: Transaction) -> None:
        now = queries.certificate(call, tx, request["CertificateArn"])
        tx.update(now, status=replace(now.status, exported=True))

    await call.store.transact(change)
    return {"Certificate": pair.spec.certificate, "CertificateChain": pair.spec.chain, "PrivateKey": key}


@ops("RenewCertificate", resources=queries.about())
async def renew_certificate(call: Call, request: Request) -> Answer:
    """Of those that have been exported: the others are renewed by themselves."""

    def change(tx: Transaction) -> None:
        found = queries.certificate(call, tx, request["CertificateArn"])
        if found.spec.type != ISSUED_HERE or not found.status.exported or status_of(found, call.now) != ISSUED:
            raise validation(f"Certificate {found.meta.arn} is not eligible for renewal: it has not been exported.")
        if found.spec.renewals > found.status.renewals:
            raise in_progress(found.meta.arn)
        tx.update(found, spec=replace(found.spec, renewals=found.spec.renewals + 1))

    await call.store.transact(change)
    return {}


@ops("RevokeCertificate", resources=queries.about())
async def revoke_certificate(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> CertificateR:
        found = queries.certificate(call, tx, request["CertificateArn"])
        if found.spec.type != ISSUED_HERE or not found.status.exported:
            raise validation(f"Certificate {found.meta.arn} cannot be revoked: it has not been exported.")
        if found.spec.revoked is not None:
            return found
        _check_unused(tx, found.meta.arn, "revoked")
        pair = tx.get(KEY_PAIR, call.account, call.region, found.meta.name)
        if pair is not None:
            tx.update(pair, spec=KeyPair(certificate="", chain="", key="", names=pair.spec.names))
        return tx.update(found, spec=replace(found.spec, revoked=call.now, revocation=request["RevocationReason"]))

    return {"CertificateArn": (await call.store.transact(change)).meta.arn}


@ops("UpdateCertificateOptions", resources=queries.about())
async def update_certificate_options(call: Call, request: Request) -> Answer:
    wanted = request["Options"]

    def change(tx: Transaction) -> None:
        found = queries.certificate(call, tx, request["CertificateArn"])
        if found.spec.type != ISSUED_HERE:
            raise state("The options of imported certificates cannot be updated.")
        if wanted.get("CertificateTransparencyLoggingPreference") == "DISABLED":
            raise validation("Certificate transparency logging opt-out is no longer available.")
        export = wanted.get("Export")
        if export and (export == "ENABLED") != found.spec.exportable:
            raise validation("The export option of a certificate cannot be updated after it is created.")
        method = wanted.get("ValidationMethod") or found.spec.method
        if method != found.spec.method and method != "DNS":
            raise validation("The validation method can be changed from EMAIL to DNS only.")
        tx.update(found, spec=replace(found.spec, method=method))

    await call.store.transact(change)
    return {}


@ops("ResendValidationEmail", resources=queries.about())
async def resend_validation_email(call: Call, request: Request) -> Answer:
    found = queries.certificate(call, call.store, request["CertificateArn"])
    if found.spec.method != "EMAIL" or status_of(found, call.now) != PENDING:
        raise state(f"Certificate {found.meta.arn} is not waiting for validation by email.")
    if request["Domain"].lower() not in found.spec.names:
        words = f"{request['Domain']} is not one of the certificate's domain names."
        raise ApiError("InvalidDomainValidationOptionsException", words)
    return {}
