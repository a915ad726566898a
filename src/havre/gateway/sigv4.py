"""AWS Signature Version 4: who signed this request, and is the signature right?

Pure but for its cache of signing keys. ``Denied`` says what is wrong in AWS's words; ``faults.py`` spells it per protocol.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from time import strftime, strptime
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

import msgspec

ALGORITHM = "AWS4-HMAC-SHA256"
TERMINATOR = "aws4_request"
UNSIGNED = "UNSIGNED-PAYLOAD"
STREAMING = "STREAMING-"
EMPTY_SHA256 = sha256(b"").hexdigest()
PAST, FUTURE = 15 * 60, 5 * 60
LONGEST_PRESIGNED = 7 * 24 * 3600
MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)
_STAMP = re.compile(r"\d{8}T\d{6}Z\Z")
_SPACES = re.compile(r"\s+")
_PATH_UNCHANGED = re.compile(r"(/[A-Za-z0-9_.~-]*[A-Za-z0-9_~-])*/?\Z")


class Denied(Exception):
    """``reason``: incomplete, incomplete_url, missing, unknown_key, mismatch, expired_signature, skewed, expired_token,
    expired_url, payload.

    ``message`` is AWS's, fit for the caller.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Signature(msgspec.Struct, frozen=True):
    """What a request claims. ``expires`` is the lifetime in seconds of a presigned URL, None of a signed header."""

    access_key: str
    date: str
    region: str
    service: str
    signed_headers: str
    signature: str
    stamp: str
    payload: str | None
    token: str
    expires: int | None = None
    scope: str = ""


class Canonical(msgspec.Struct, frozen=True):
    """The request as it came over the wire: ``path`` and ``query`` still percent-encoded, header names in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]


def claim(request: Canonical) -> Signature | None:
    """The signature that the request carries, None when it carries none. Raises Denied when it is not whole."""
    authorization = request.headers.get("authorization")
    if authorization is not None and authorization.startswith(ALGORITHM):
        return _from_header(authorization, request.headers)
    if "X-Amz-Signature=" in request.query or "X-Amz-Credential=" in request.query:
        return _from_query(request.query)
    if authorization:
        raise Denied(
            "incomplete", f"Unsupported or malformed Authorization header: '{authorization.split(' ', 1)[0]}'."
        )
    return None


class Head(NamedTuple):
    """An Authorization header without its signature: the same for every request of a key on a day."""

    access_key: str
    date: str
    region: str
    service: str
    signed_headers: str
    scope: str


_heads: dict[str, Head] = {}


def _from_header(authorization: str, headers: Mapping[str, str]) -> Signature:
    before, found, signature = authorization.rpartition("Signature=")
    head = _heads.get(before) if found else None
    stamp = headers.get("x-amz-date") or _from_http_date(headers.get("date", ""))
    if head is None or not stamp or not signature:
        head, signature = _read_head(authorization, stamp)
        if authorization.endswith(f"Signature={signature}"):
            if len(_heads) >= 4096:
                _heads.clear()
            _heads[before] = head
    return Signature(
        head.access_key,
        head.date,
        head.region,
        head.service,
        head.signed_headers,
        signature,
        _checked_stamp(stamp, head.date),
        headers.get("x-amz-content-sha256"),
        headers.get("x-amz-security-token", ""),
        None,
        head.scope,
    )


def _read_head(authorization: str, stamp: str) -> tuple[Head, str]:
    """Raises Denied with all that is missing."""
    fields = {}
    for part in authorization[len(ALGORITHM) :].split(","):
        name, _, value = part.strip().partition("=")
        fields[name] = value
    words = [
        f"Authorization header requires '{f}' parameter."
        for f in ("Credential", "Signature", "SignedHeaders")
        if not fields.get(f)
    ]
    if not stamp:
        words.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    if words:
        digest = sha256(authorization.encode("utf-8", "replace")).hexdigest()
        raise Denied(
            "incomplete", " ".join(words) + f" (Hashed with SHA-256 and encoded with Hex) Authorization={digest}"
        )
    access_key, date, region, service = _credential(fields["Credential"])
    scope = f"{date}/{region}/{service}/{TERMINATOR}"
    head = Head(access_key, date, region, service, fields["SignedHeaders"].lower(), scope)
    return head, fields["Signature"]


def _from_query(query: str) -> Signature:
    fields = {}
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name.startswith("X-Amz-"):
            fields[name] = unquote_to_bytes(value.replace("+", "%20")).decode("utf-8", "replace")
    names = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date")
    missing = [n for n in names if not fields.get(n)]
    if missing:
        raise Denied("incomplete_url", " ".join(f"AWS query-string parameters must include '{n}'." for n in missing))
    if fields["X-Amz-Algorithm"] != ALGORITHM:
        raise Denied("incomplete_url", f"Unsupported AWS 'algorithm': '{fields['X-Amz-Algorithm']}'.")
    access_key, date, region, service = _credential(fields["X-Amz-Credential"])
    expires = _lifetime(fields.get("X-Amz-Expires", "900" if service != "s3" else ""))
    return Signature(
        access_key,
        date,
        region,
        service,
        fields["X-Amz-SignedHeaders"].lower(),
        fields["X-Amz-Signature"],
        _checked_stamp(fields["X-Amz-Date"], date),
        UNSIGNED if service == "s3" else None,
        fields.get("X-Amz-Security-Token", ""),
        expires,
        f"{date}/{region}/{service}/{TERMINATOR}",
    )


def _lifetime(text: str) -> int:
    """In seconds, of a presigned URL."""
    wrong = ""
    if not text:
        wrong = "AWS query-string parameters must include 'X-Amz-Expires'."
    elif not re.fullmatch(r"-?[0-9]{1,18}", text):
        wrong = "X-Amz-Expires should be a number"
    elif int(text) < 0:
        wrong = "X-Amz-Expires must be non-negative"
    elif int(text) > LONGEST_PRESIGNED:
        wrong = (
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than "
            f"{LONGEST_PRESIGNED} seconds"
        )
    if wrong:
        raise Denied("incomplete_url", wrong)
    return int(text)


def _credential(text: str) -> tuple[str, str, str, str]:
    parts = text.rsplit("/", 4)
    if len(parts) != 5 or not parts[0]:
        raise Denied(
            "incomplete",
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            f"got '{text[:200]}'",
        )
    access_key, date, region, service, terminator = parts
    if terminator != TERMINATOR:
        raise Denied(
            "mismatch",
            f"Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{terminator[:100]}'.",
        )
    return access_key, date, region, service


def _checked_stamp(stamp: str, date: str) -> str:
    if stamp not in _seen_stamp and not _STAMP.match(stamp):
        raise Denied(
            "incomplete",
            f"Date must be in ISO-8601 'basic format'. Got '{stamp[:50]}'. See http://en.wikipedia.org/wiki/ISO_8601",
        )
    if not stamp.startswith(date):
        raise Denied(
            "mismatch",
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{date[:50]}' != '{stamp[:8]}', from '{stamp}'.",
        )
    return stamp


def _from_http_date(text: str) -> str:
    try:
        return strftime("%Y%m%dT%H%M%SZ", strptime(text, "%a, %d %b %Y %H:%M:%S GMT"))
    except ValueError:
        return text


def check_time(claimed: Signature, now: float) -> None:
    """Raises Denied when the signature is too old or too young."""
    at = _seconds(claimed.stamp)
    if claimed.expires is not None and now > at + claimed.expires:
        raise Denied("expired_url", "Request has expired.")
    if at - FUTURE > now:
        raise Denied(
            "skewed",
            f"Signature not yet current: {claimed.stamp} is still later than {_stamp(now + FUTURE)} "
            f"({_stamp(now)} + 5 min.)",
        )
    if claimed.expires is None and at + PAST < now:
        raise Denied(
            "expired_signature",
            f"Signature expired: {claimed.stamp} is now earlier than {_stamp(now - PAST)} ({_stamp(now)} - 15 min.)",
        )


_seen_stamp: dict[str, int] = {}


def _seconds(stamp: str) -> int:
    """Seconds since the epoch; the last few stamps are remembered, for they repeat within a second."""
    known = _seen_stamp.get(stamp)
    if known is None:
        try:
            known = int(datetime.fromisoformat(stamp).timestamp())
        except ValueError:
            raise Denied("incomplete", f"Date must be in ISO-8601 'basic format'. Got '{stamp}'.") from None
        if len(_seen_stamp) > 512:
            _seen_stamp.clear()
        _seen_stamp[stamp] = known
    return known


def _stamp(at: float) -> str:
    from time import gmtime

    return strftime("%Y%m%dT%H%M%SZ", gmtime(at))


class Verifier:
    """Checks signatures; remembers signing keys, for they hold a day."""

    def __init__(self) -> None:
        self._keys: dict[tuple[str, str, str, str], bytes] = {}

    def signing_key(self, secret: str, claimed: Signature) -> bytes:
        where = (secret, claimed.date, claimed.region, claimed.service)
        key = self._keys.get(where)
        if key is None:
            key = f"AWS4{secret}".encode()
            for part in (claimed.date, claimed.region, claimed.service, TERMINATOR):
                key = hmac.digest(key, part.encode(), "sha256")
            if len(self._keys) >= 4096:
                self._keys.clear()
            self._keys[where] = key
        return key

    def check(self, request: Canonical, claimed: Signature, secret: str, payload: str) -> None:
        """Raises Denied when ``secret`` does not make this signature of the request with this hash of its payload."""
        names = claimed.signed_headers.split(";")
        if "host" not in names and ":authority" not in names:
            raise Denied("mismatch", "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
        given = request.headers
        if ":authority" in names:  # what HTTP/2 calls the host, which is where ASGI puts it
            given = {**given, ":authority": given.get("host", "")}
        headers = "".join([f"{n}:{given.get(n, '')}\n" for n in names])
        if "  " in headers or ": " in headers or " \n" in headers or "\t" in headers:
            headers = "".join([f"{n}:{_SPACES.sub(' ', given.get(n, '').strip())}\n" for n in names])
        query = canonical_query(request.query) if request.query else ""
        key = self.signing_key(secret, claimed)
        for path in _paths(request.path, claimed.service):
            canonical = f"{request.method}\n{path}\n{query}\n{headers}\n{claimed.signed_headers}\n{payload}"
            digest = sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
            to_sign = f"{ALGORITHM}\n{claimed.stamp}\n{claimed.scope}\n{digest}"
            expected = hmac.digest(key, to_sign.encode(), "sha256").hex()
            if hmac.compare_digest(expected.encode(), claimed.signature.encode("utf-8", "replace")):
                return
        raise Denied("mismatch", MISMATCH)


def _paths(path: str, service: str) -> tuple[str, ...]:
    """The canonical URI: encoded once more except for S3, normalised; clients differ on whether they normalise."""
    if path in ("/", ""):
        return ("/",)
    if service == "s3":
        return (quote(unquote_to_bytes(path), safe="/~"),)
    if _PATH_UNCHANGED.match(path):
        return (path,)
    plain = quote(path, safe="/~")
    normal = quote(_normalise(path), safe="/~")
    return (normal,) if normal == plain else (normal, plain)


def _normalise(path: str) -> str:
    out: list[str] = []
    for part in path.split("/"):
        if part == "..":
            out[-1:] = []
        elif part not in ("", "."):
            out.append(part)
    tail = "/" if path.endswith("/") and out else ""
    return "/" + "/".join(out) + tail


def canonical_query(query: str) -> str:
    """Every name and value decoded and encoded again, in order, the signature itself left out."""
    pairs = []
    for pair in query.split("&"):
        if not pair:
            continue
        name, _, value = pair.partition("=")
        if name == "X-Amz-Signature":
            continue
        pairs.append((quote(unquote_to_bytes(name), safe="-_.~"), quote(unquote_to_bytes(value), safe="-_.~")))
    pairs.sort()
    return "&".join([f"{n}={v}" for n, v in pairs])
