"""What went wrong, in the words of the protocol that the caller speaks. Nothing that nobody foresaw leaves this process."""

from __future__ import annotations

import logging

from havre.gateway.sigv4 import Denied
from havre.kernel.errors import ApiError, Conflict, Permanent, Temporary

log = logging.getLogger("havre.gateway")

INVALID_TOKEN = "The security token included in the request is invalid."  # noqa: S105 (a message)
_EXPIRED_TOKEN = "The security token included in the request is expired"  # noqa: S105 (a message)
_EC2_CREDENTIALS = "AWS was not able to validate the provided access credentials"

# reason → (json and cbor, rest-json, query and rest-xml, ec2), each code and status
_SPELLED: dict[str, tuple[tuple[str, int], tuple[str, int], tuple[str, int], tuple[str, int]]] = {
    "incomplete": (
        ("IncompleteSignatureException", 400),
        ("IncompleteSignatureException", 403),
        ("IncompleteSignature", 400),
        ("IncompleteSignature", 400),
    ),
    "missing": (
        ("MissingAuthenticationTokenException", 400),
        ("MissingAuthenticationTokenException", 403),
        ("MissingAuthenticationToken", 403),
        ("AuthFailure", 401),
    ),
    "unknown_key": (
        ("UnrecognizedClientException", 400),
        ("UnrecognizedClientException", 403),
        ("InvalidClientTokenId", 403),
        ("AuthFailure", 401),
    ),
    "mismatch": (
        ("InvalidSignatureException", 400),
        ("InvalidSignatureException", 403),
        ("SignatureDoesNotMatch", 403),
        ("AuthFailure", 401),
    ),
    "expired_token": (
        ("ExpiredTokenException", 400),
        ("ExpiredTokenException", 403),
        ("ExpiredToken", 403),
        ("RequestExpired", 400),
    ),
    "expired_url": (
        ("InvalidSignatureException", 400),
        ("InvalidSignatureException", 403),
        ("SignatureDoesNotMatch", 403),
        ("RequestExpired", 400),
    ),
    "denied": (
        ("AccessDeniedException", 400),
        ("AccessDeniedException", 403),
        ("AccessDenied", 403),
        ("UnauthorizedOperation", 403),
    ),
    "throttled": (
        ("ThrottlingException", 400),
        ("ThrottlingException", 429),
        ("Throttling", 400),
        ("RequestLimitExceeded", 503),
    ),
    "internal": (("InternalFailure", 500), ("InternalFailure", 500), ("InternalFailure", 500), ("InternalError", 500)),
    "unavailable": (
        ("ServiceUnavailableException", 503),
        ("ServiceUnavailableException", 503),
        ("ServiceUnavailable", 503),
        ("Unavailable", 503),
    ),
}
_SAME = {"expired_signature": "mismatch", "skewed": "mismatch", "payload": "mismatch", "incomplete_url": "incomplete"}
_COLUMN = {"json": 0, "smithy-rpc-v2-cbor": 0, "rest-json": 1, "query": 2, "rest-xml": 2, "ec2": 3}
_OWN = {
    "lambda": {"throttled": ("TooManyRequestsException", 429)},
    "s3": {
        "expired_signature": ("RequestTimeTooSkewed", 403),
        "expired_token": ("ExpiredToken", 400),
        "expired_url": ("AccessDenied", 403),
        "incomplete": ("AuthorizationHeaderMalformed", 400),
        "incomplete_url": ("AuthorizationQueryParametersError", 400),
        "missing": ("AccessDenied", 403),
        "skewed": ("RequestTimeTooSkewed", 403),
        "throttled": ("SlowDown", 503),
        "unknown_key": ("InvalidAccessKeyId", 403),
    },
    "sns": {"denied": ("AuthorizationError", 403)},
}
"""Where one service has words of its own."""
_FIELDS = {"TooManyRequestsException": {"Reason": "CallerRateLimitExceeded"}}


def spell(reason: str, protocol: str, message: str, service: str = "") -> ApiError:
    """The error as a service of this protocol spells it."""
    own = _OWN.get(service, {}).get(reason)
    if own is not None:
        code, status = own
    else:
        code, status = _SPELLED[_SAME.get(reason, reason)][_COLUMN.get(protocol, 0)]
    if code == "AuthFailure":
        message = _EC2_CREDENTIALS
    elif code == "InvalidAccessKeyId":
        message = "The AWS Access Key Id you provided does not exist in our records."
    return ApiError(code, message, status, _FIELDS.get(code))


def unknown_key() -> Denied:
    return Denied("unknown_key", INVALID_TOKEN)


def expired_token() -> Denied:
    return Denied("expired_token", _EXPIRED_TOKEN)


def missing(protocol: str) -> Denied:
    return Denied(
        "missing",
        "Request is missing Authentication Token"
        if protocol in ("query", "rest-xml")
        else "Missing Authentication Token",
    )


def as_api_error(fault: BaseException, protocol: str, service: str, request_id: str) -> ApiError:
    """What the caller is told. Everything unforeseen is logged with its traceback and told as an internal failure."""
    if isinstance(fault, ApiError):
        return fault
    if isinstance(fault, Denied):
        return spell(fault.reason, protocol, fault.message, service)
    if isinstance(fault, Temporary | Conflict):
        log.warning("%s: %s, request %s", service or "?", fault, request_id)
        return spell("unavailable", protocol, "The service is unavailable. Please retry your request.")
    if isinstance(fault, Permanent):
        log.error("%s: %s, request %s", service or "?", fault.reason, request_id)
    else:
        log.error("%s: unforeseen, request %s", service or "?", request_id, exc_info=fault)
    return spell(
        "internal", protocol, "The request processing has failed because of an unknown error, exception or failure."
    )
