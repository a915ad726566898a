"""RequestCertificate: the reconciler of certificates issues what is asked for here."""

from __future__ import annotations

from havre.control.certificates.records import KEY_PAIR, KeyPair
from havre.control.operation import Answer, Call, Operations, Request
from havre.kernel.errors import ApiError, not_built
from havre.kernel.resource import NoStatus, scoped
from havre.services.acm import labels, names, queries
from havre.services.acm.errors import parameter
from havre.services.acm.resources import CERTIFICATE, ISSUED_HERE, Certificate, CertificateR, CertificateStatus
from havre.store.ports import Transaction

ops = Operations()
MOST = 2500
TOKEN_LIFE = 3600.0
"""Seconds for which a token stands for the request that it came with."""
ALGORITHMS = ("RSA_2048", "EC_prime256v1", "EC_secp384r1")
"""Of certificates that are asked for; those that are imported may have others."""


@ops("RequestCertificate", resources=queries.about())
async def request_certificate(call: Call, request: Request) -> Answer:
    spec = _wanted(request, await labels.of_creation(call, request))
    id = call.world.uuid()

    def change(tx: Transaction) -> CertificateR:
        if spec.token:
            for same in tx.find(CERTIFICATE, "token", scoped(call.account, call.region, spec.token)):
                if same.meta.created > call.now - TOKEN_LIFE and same.spec.names == spec.names:
                    return same
        return create(call, tx, id, spec, CertificateStatus(), KeyPair())

    return {"CertificateArn": (await call.store.transact(change)).meta.arn}


def _wanted(request: Request, tags: dict[str, str]) -> Certificate:
    if request.get("CertificateAuthorityArn"):
        raise not_built("acm", "private certificates: there is no ACM PCA")
    if request.get("ManagedBy"):
        raise not_built("acm", "certificates managed by CloudFront")
    method = request.get("ValidationMethod") or "EMAIL"
    if method == "HTTP":
        raise not_built("acm", "validation by HTTP")
    domains = names.all_names(request["DomainName"], request.get("SubjectAlternativeNames") or ())
    algorithm = request.get("KeyAlgorithm") or "RSA_2048"
    if algorithm not in ALGORITHMS:
        raise parameter(f"The key algorithm {algorithm} is not supported for certificates that ACM issues.")
    given = request.get("DomainValidationOptions") or ()
    return Certificate(
        ISSUED_HERE,
        domains,
        algorithm,
        method,
        names.mail_domains(domains, given),
        exportable=(request.get("Options") or {}).get("Export") == "ENABLED",
        token=request.get("IdempotencyToken") or "",
        tags=tags,
    )


def create(
    call: Call, tx: Transaction, id: str, spec: Certificate, status: CertificateStatus, pair: KeyPair
) -> CertificateR:
    """The certificate and its key pair. Raises LimitExceededException."""
    if len(tx.list(CERTIFICATE, call.account, call.region)) >= MOST:
        raise ApiError("LimitExceededException", f"Error: the quota of {MOST} certificates has been exceeded.")
    where = {"account": call.account, "region": call.region, "name": id, "arn": call.arn(f"certificate/{id}")}
    tx.create(KEY_PAIR, **where, spec=pair, status=NoStatus())
    return tx.create(CERTIFICATE, **where, spec=spec, status=status)
