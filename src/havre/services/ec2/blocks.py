"""Blocks of addresses, as requests have them."""

from __future__ import annotations

from havre.control.operation import Request
from havre.kernel.addresses import Cidr, parse_cidr
from havre.services.ec2 import errors


def cidr_block(request: Request) -> Cidr:
    """Of its CidrBlock. Raises ApiError."""
    if "CidrBlock" not in request:
        raise errors.missing("cidrBlock")
    try:
        return parse_cidr(request["CidrBlock"])
    except ValueError:
        raise errors.invalid(
            f"Value ({request['CidrBlock']}) for parameter cidrBlock is invalid. This is not a valid CIDR block."
        ) from None
