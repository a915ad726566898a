"""ImportCertificate: a certificate of somebody else's, with its key; also in place of one that was imported before."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from havre.control.certificates import reading
from havre.control.certificates.reading import Facts, Unreadable
from havre.control.certificates.records import KEY_PAIR, KeyPair
from havre.control.operation import Answer, Call, Operations, Request
from havre.services.acm import labels, queries
from havre.services.acm.errors import validation
from havre.services.acm.operations.requests import create
from havre.services.acm.resources import IMPORTED, Certificate, CertificateR, CertificateStatus
from havre.store.ports import Transaction

ops = Operations()
LARGEST_KEY = 5120


@ops("ImportCertificate", resources=queries.about())
async def import_certificate(call: Call, request: Request) -> Answer:
    arn = request.get("CertificateArn")
    if arn and request.get("Tags"):
        raise validation("Tagging is not permitted on re-import.")
    if arn:
        _imported(queries.certificate(call, call.store, arn))
    tags = await labels.of_creation(call, request)
    facts, pair = await asyncio.to_thread(_read, request, call.now)
    status = CertificateStatus(facts, imported=call.now)
    id = call.world.uuid()

    def change(tx: Transaction) -> CertificateR:
        if not arn:
            spec = Certificate(IMPORTED, facts.names, facts.algorithm, tags=tags)
            return create(call, tx, id, spec, status, pair)
        found = queries.certificate(call, tx, arn)
        _check_like(found, facts)
        old = tx.get(KEY_PAIR, call.account, call.region, found.meta.name)
        assert old is not None
        tx.update(old, spec=pair)
        return tx.update(found, spec=replace(found.spec, names=facts.names), status=status)

    return {"CertificateArn": (await call.store.transact(change)).meta.arn}


def _read(request: Request, now: float) -> tuple[Facts, KeyPair]:
    """Raises ValidationException with the reason."""
    if len(request["PrivateKey"]) > LARGEST_KEY:
        raise validation(f"The private key must not be larger than {LARGEST_KEY} bytes.")
    try:
        certificate = reading.certificate_of(request["Certificate"])
        key = reading.key_of(request["PrivateKey"])
        chain = reading.chain_of(request["CertificateChain"]) if request.get("CertificateChain") else []
        facts = reading.facts(certificate)
        reading.check(certificate, key, chain, now)
    except Unreadable as refusal:
        raise validation(refusal.reason) from refusal
    return facts, KeyPair(*reading.texts(certificate, chain, key), facts.names, facts.algorithm)


def _imported(found: CertificateR) -> None:
    if found.spec.type != IMPORTED:
        raise validation(f"The certificate {found.meta.arn} was not imported: it cannot be replaced by an import.")


def _check_like(found: CertificateR, facts: Facts) -> None:
    """What AWS asks of a certificate that takes the place of another. Raises ValidationException."""
    _imported(found)
    old = found.status.facts
    assert old is not None
    if facts.algorithm != found.spec.algorithm:
        raise validation("The key type and size of a certificate cannot be changed by importing it again.")
    if old.names and not facts.names:
        raise validation("The domain names of a certificate cannot all be removed by importing it again.")
    if not set(old.usages) <= set(facts.usages):
        raise validation("Key usages of a certificate cannot be removed by importing it again.")
    gone = {name for name, _ in old.extended} - {name for name, _ in facts.extended}
    if gone - {"TLS_WEB_CLIENT_AUTHENTICATION"}:
        raise validation("Extended key usages of a certificate cannot be removed by importing it again.")
