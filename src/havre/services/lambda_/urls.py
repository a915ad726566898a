"""Function URLs: their host names, below ``.localhost`` as those of load balancers are."""

from __future__ import annotations

import hashlib
import string

from havre.control.operation import Site

_LETTERS = string.ascii_lowercase + string.digits


def url_id(account: str, region: str, function: str, qualifier: str) -> str:
    """32 lower-case letters and digits: the same whenever a function of that name gets a URL again."""
    number = int.from_bytes(hashlib.sha256(f"{account}/{region}/{function}/{qualifier}".encode()).digest(), "big")
    made = ""
    for _ in range(32):
        number, index = divmod(number, len(_LETTERS))
        made += _LETTERS[index]
    return made


def url(site: Site, region: str, id: str) -> str:
    return f"{site.scheme}://{id}.lambda-url.{region}.localhost:{site.port}/"
