"""Domain names, and the records and addresses by which AWS would have them validated. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from havre.kernel.errors import ApiError
from havre.services.acm.errors import parameter

MOST_NAMES = 100
LONGEST_FIRST = 64
MAILBOXES = ("administrator", "hostmaster", "postmaster", "webmaster", "admin")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def all_names(domain: str, others: Sequence[str]) -> tuple[str, ...]:
    """The domain first, each once, in lower case. Raises InvalidParameterException, LimitExceededException."""
    if len(domain) > LONGEST_FIRST:
        raise parameter("The first domain name can be no longer than 64 characters.")
    names = tuple(dict.fromkeys(name.lower() for name in (domain, *others)))
    if len(names) > MOST_NAMES:
        raise ApiError("LimitExceededException", f"Error: the quota of {MOST_NAMES} domain names has been exceeded.")
    return names


def mail_domains(names: Sequence[str], options: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Domain → the domain that its mail goes to. Raises InvalidDomainValidationOptionsException."""
    found: dict[str, str] = {}
    for option in options:
        name, to = option["DomainName"].lower(), option["ValidationDomain"].lower()
        if name not in names:
            raise _options(f"{name} is not one of the certificate's domain names")
        base = name.removeprefix("*.")
        if base != to and not base.endswith(f".{to}"):
            raise _options(f"{to} must be the same as {name} or a superdomain of it")
        found[name] = to
    return found


def _options(words: str) -> ApiError:
    return ApiError("InvalidDomainValidationOptionsException", f"The domain validation options are not valid: {words}.")


def record(secret: str, account: str, name: str) -> dict[str, Any]:
    """The CNAME record that AWS would look for: the same for a domain and its wildcard, for ever."""
    base = name.removeprefix("*.")
    left = hashlib.sha256(f"{secret} {account} {base} name".encode()).hexdigest()[:32]
    right = hashlib.sha256(f"{secret} {account} {base} value".encode()).digest()
    zone = "".join(_LETTERS[byte % 26] for byte in right[16:26])
    return {"Name": f"_{left}.{base}.", "Type": "CNAME", "Value": f"_{right[:16].hex()}.{zone}.acm-validations.aws."}


def addresses(domain: str) -> list[str]:
    """Whom AWS would write to."""
    return [f"{box}@{domain.removeprefix('*.')}" for box in MAILBOXES]
