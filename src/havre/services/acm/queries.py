"""Typed reads of the store, and what each operation is about."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from havre.control.operation import Call, Request
from havre.control.paging import Paging
from havre.kernel.errors import ApiError
from havre.services.acm.errors import missing
from havre.services.acm.resources import CERTIFICATE, CertificateR
from havre.store.ports import Reader

T = TypeVar("T")
_ARN = re.compile(r"arn:aws:acm:[a-z0-9-]+:\d{12}:certificate/[0-9a-f-]{36}")
_PAGING = Paging("MaxItems", "NextToken", "InvalidArgsException", "The NextToken is not valid.")


def about(member: str = "CertificateArn") -> Callable[[Call, Request], Sequence[str]]:
    """The ARN that IAM decides on; of what is to be made when the request names none."""
    return lambda call, request: (str(request.get(member) or call.arn("certificate/*")),)


def certificate(call: Call, reader: Reader, arn: str) -> CertificateR:
    """Raises InvalidArnException, ResourceNotFoundException."""
    if not _ARN.fullmatch(arn):
        raise ApiError("InvalidArnException", f"The ARN {arn} is not valid.")
    parts = arn.split(":")
    found = reader.get(CERTIFICATE, call.account, call.region, parts[5].removeprefix("certificate/"))
    if found is None or found.meta.arn != arn:
        raise missing(arn, call.account)
    return found


def page(
    call: Call, request: Request, items: Sequence[T], key: Callable[[T], str], size: int
) -> tuple[list[T], str | None]:
    """``items`` are in the order of ``key``. Raises InvalidArgsException for a wrong token."""
    return _PAGING.page(call, request, items, key, size)
