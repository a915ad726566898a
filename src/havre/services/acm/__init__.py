"""ACM: certificates that are imported, and certificates that this installation's own authority issues.

The promise: what is shown as ISSUED can be presented by a listener at once; a private key is told by ExportCertificate only,
and only where AWS does; a certificate in use is not deleted, and is issued anew in good time before it expires.

Nobody has to prove that a domain is theirs: the authority is trusted only by who was given its certificate
(``havre ca``). The records of DNS validation are shown as AWS shows them, and nobody looks them up.

Left out, and refused by name: private authorities (ACM PCA), ACME endpoints, validation by HTTP, certificates managed by
CloudFront.
"""

from __future__ import annotations

from typing import Any

from havre.control.certificates.authority import Authority
from havre.control.deps import ReconcilerDeps
from havre.control.operation import Service, merge
from havre.control.reconciler import Reconciler

__all__ = ["reconcilers", "service"]

PARTIAL = {
    "RequestCertificate": "the authority of this installation issues; domains are not validated, and no mail is sent",
    "ResendValidationEmail": "no mail is sent",
    "RevokeCertificate": "is shown, and the certificate is presented no longer; no list of revocations is published",
    "RequestCertificate.Options": "there is no certificate transparency log",
}


def service() -> Service:
    from havre.services.acm.operations import changes, imports, reads, requests, searches, settings, tags
    from havre.services.acm.resources import KINDS

    modules = (requests, imports, reads, searches, changes, settings, tags)
    return Service("acm", merge(*(m.ops for m in modules)), KINDS, partial=PARTIAL)


def reconcilers(deps: ReconcilerDeps, authority: Authority) -> list[Reconciler[Any]]:
    from havre.services.acm.issuing import Issuing

    return [Issuing(deps, authority)]
