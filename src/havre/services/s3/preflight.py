"""What browsers ask before they send a request to a bucket of another origin: answered by the bucket's CORS rules.

Such a request carries no signature; it tells nothing but what the rules say to everybody.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote
from xml.sax.saxutils import escape

from havre.control.deps import AwsFor
from havre.kernel.errors import ApiError
from havre.services.s3.resources import BUCKET
from havre.store.ports import Store
from havre.wire.http import HttpRequest, HttpResponse
from havre.wire.routing import bucket_path

_VARY = ("Vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Method")


class Preflight:
    def __init__(self, store: Store, aws_for: AwsFor, region: str) -> None:
        self._store, self._aws_for, self._region = store, aws_for, region

    async def __call__(self, request: HttpRequest) -> HttpResponse | None:
        """None when no bucket is meant."""
        name = unquote(bucket_path(request).split("/", 2)[1])
        found = self._store.get(BUCKET, "", "", name)
        if found is None:
            return None
        aws = self._aws_for(found.spec.owner, self._region, "s3.amazonaws.com")
        try:
            rules = (await aws("s3", "GetBucketCors", {"Bucket": name}))["CORSRules"]
        except ApiError:
            return _refused("CORSResponse: CORS is not enabled for this bucket.")
        headers = request.headers
        origin, method = headers.get("origin", ""), headers["access-control-request-method"]
        wanted = [each.strip().lower() for each in headers.get("access-control-request-headers", "").split(",")]
        rule = matching(rules, origin, method, [each for each in wanted if each])
        if rule is None:
            return _refused("CORSResponse: This CORS request is not allowed.")
        return HttpResponse(200, _allowed(rule, origin, headers.get("access-control-request-headers", "")))


def matching(
    rules: Sequence[Mapping[str, Any]], origin: str, method: str, headers: Sequence[str]
) -> Mapping[str, Any] | None:
    """The first rule that allows the method and all ``headers`` (in lower case) to the origin."""
    for rule in rules:
        if (
            method in rule["AllowedMethods"]
            and any(_like(origin, allowed) for allowed in rule["AllowedOrigins"])
            and all(any(_like(h, a.lower()) for a in rule.get("AllowedHeaders", ())) for h in headers)
        ):
            return rule
    return None


def _like(text: str, pattern: str) -> bool:
    """``*`` stands for anything; nothing else is special."""
    return fnmatch.fnmatchcase(text, pattern.replace("[", "[[]").replace("?", "[?]"))


def _allowed(rule: Mapping[str, Any], origin: str, headers: str) -> list[tuple[str, str]]:
    everybody = "*" in rule["AllowedOrigins"]
    told = [
        ("Access-Control-Allow-Origin", "*" if everybody else origin),
        ("Access-Control-Allow-Methods", ", ".join(rule["AllowedMethods"])),
        ("Access-Control-Allow-Headers", headers.lower()),
        ("Access-Control-Expose-Headers", ", ".join(rule.get("ExposeHeaders", ()))),
        ("Access-Control-Max-Age", str(rule.get("MaxAgeSeconds") or "")),
        ("Access-Control-Allow-Credentials", "" if everybody else "true"),
    ]
    return [*((name, value) for name, value in told if value), _VARY]


def _refused(message: str) -> HttpResponse:
    text = f"<Error><Code>AccessForbidden</Code><Message>{escape(message)}</Message></Error>"
    body = b'<?xml version="1.0" encoding="UTF-8"?>\n' + text.encode()
    return HttpResponse(403, [("Content-Type", "application/xml"), _VARY], body)
