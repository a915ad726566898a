"""Who sent this request? Checks its signature, or with ``--auth open`` takes its word."""

from __future__ import annotations

import re

from havre.control.operation import Principal, Site
from havre.gateway import pages, payload, sigv2
from havre.gateway.context import Context
from havre.gateway.faults import expired_token, missing, unknown_key
from havre.gateway.ports import Identities
from havre.gateway.sigv4 import Canonical, Denied, Signature, Verifier, check_time, claim
from havre.kernel.errors import ApiError
from havre.services.iam.directory import root_principal

OPEN_ACCOUNT = "000000000000"
_FOR_PAGES = ("s3",)
"""Buckets say themselves which pages may ask (CORS)."""
_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-\d{1,2}\Z")
_ACCOUNT = re.compile(r"\d{12}\Z")
_HALF = re.compile(
    r"Credential=([^/,&%\s]{1,128})(?:/|%2[Ff])[^/,&%]*(?:/|%2[Ff])([a-z0-9-]{1,32})(?:/|%2[Ff])([a-z0-9-]{1,64})(?:/|%2[Ff])aws4_request"
)


class Identify:
    def __init__(self, site: Site, identities: Identities) -> None:
        self._identities = identities
        self._verifier = Verifier()
        self._open = site.auth == "open"
        self._region = site.region
        self._good_regions: set[str] = set()

    def claim(self, request: Canonical) -> Signature | None:
        """What the request says of its sender, unproven. Raises Denied for half a signature; with open doors what it says
        counts, whatever else is missing."""
        try:
            return claim(request) or sigv2.claim(request)
        except Denied:
            if self._open:
                return _half(request)
            raise

    def knows(self, claimed: Signature | None) -> bool:
        """Whether the key is somebody's (with open doors, anybody's)."""
        return self._open or (
            claimed is not None and self._identities.credential(claimed.access_key, claimed.token) is not None
        )

    def prove(self, context: Context, request: Canonical, body: bytes) -> bytes:
        """Fills in who and where; gives the body as the service shall see it. Raises Denied."""
        claimed = context.claimed
        if self._open:
            if context.service not in _FOR_PAGES:
                pages.refuse_others(request.headers)
            context.principal = self._trusted(claimed)
            context.account = context.principal.account
            context.region = self._trusted_region(claimed, request)
            return payload.plain(request, body)
        if claimed is None:
            raise missing(context.protocol)
        if claimed.service != context.source:
            raise Denied("mismatch", f"Credential should be scoped to correct service: '{context.source}'. ")
        if claimed.scope == sigv2.SCOPE:
            return self._prove_url(context, request, claimed, body)
        if not self._is_region(claimed.region):
            raise self._no_region(context.service, claimed)
        credential = self._identities.credential(claimed.access_key, claimed.token)
        if credential is None:
            raise unknown_key()
        check_time(claimed, context.at)
        if credential.expires is not None and credential.expires <= context.at:
            raise expired_token()
        body = payload.verify(self._verifier, request, claimed, credential.secret, body)
        context.principal = credential.principal
        context.account = credential.principal.account
        context.region = claimed.region
        return body

    def _prove_url(self, context: Context, request: Canonical, claimed: Signature, body: bytes) -> bytes:
        """Version 2 names no region: it is that of this installation."""
        credential = self._identities.credential(claimed.access_key, claimed.token)
        if credential is None:
            raise unknown_key()
        sigv2.check(request, claimed, credential.secret, context.at)
        if credential.expires is not None and credential.expires <= context.at:
            raise expired_token()
        context.principal, context.account = credential.principal, credential.principal.account
        context.region = self._region
        return body

    def _no_region(self, service: str, claimed: Signature) -> Exception:
        """S3 tells which region it expects, and clients that name none of AWS's (s3cmd: US) sign again with that one."""
        if service != "s3":
            return Denied("mismatch", "Credential should be scoped to a valid region. ")
        wrong = f"the region '{claimed.region}' is wrong; expecting '{self._region}'"
        if claimed.expires is not None:
            code, message = (
                "AuthorizationQueryParametersError",
                f"Error parsing the X-Amz-Credential parameter; {wrong}",
            )
        else:
            code, message = "AuthorizationHeaderMalformed", f"The authorization header is malformed; {wrong}"
        return ApiError(code, message, 400, {"Region": self._region})

    def _is_region(self, region: str) -> bool:
        if region in self._good_regions:
            return True
        if len(region) > 32 or not _REGION.match(region):
            return False
        if len(self._good_regions) < 256:
            self._good_regions.add(region)
        return True

    def _trusted(self, claimed: Signature | None) -> Principal:
        """Keys that were made here keep their identity; a twelve-digit key names the account; all others are account 0."""
        if claimed is None:
            return root_principal(OPEN_ACCOUNT)
        credential = self._identities.credential(claimed.access_key, claimed.token)
        if credential is not None:
            return credential.principal
        account = claimed.access_key if _ACCOUNT.match(claimed.access_key) else OPEN_ACCOUNT
        return root_principal(account, claimed.access_key[:128])

    def _trusted_region(self, claimed: Signature | None, request: Canonical) -> str:
        for region in (claimed.region if claimed else "", request.headers.get("x-amz-region", "")):
            if region and self._is_region(region):
                return region
        host = request.headers.get("host", "").split(":", 1)[0].split(".")
        return next((part for part in host if "-" in part and self._is_region(part)), self._region)


def _half(request: Canonical) -> Signature | None:
    """The key, region and service of a signature that is not whole."""
    found = _HALF.search(request.headers.get("authorization", "")) or _HALF.search(request.query)
    if found is None:
        return None
    token = request.headers.get("x-amz-security-token", "")
    return Signature(found[1], "", found[2], found[3], "", "", "", None, token)
