"""What an account has, and what of it is used: per account and region, as AWS counts."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from havre.core.invoking.concurrency import ACCOUNT_LIMIT
from havre.kernel.errors import ApiError
from havre.kernel.function import Code
from havre.services.lambda_.errors import invalid
from havre.services.lambda_.resources import FUNCTION, LAYER, PROVISIONED, VERSION, FunctionR
from havre.store.ports import Reader

CONCURRENCY = ACCOUNT_LIMIT
LEAST_UNRESERVED = 100
CODE = 80_530_636_800


class Usage(msgspec.Struct, frozen=True):
    """``code`` in bytes: what is uploaded, of every version and layer. ``reserved`` is what functions have set aside."""

    functions: int
    code: int
    reserved: int

    @property
    def unreserved(self) -> int:
        return CONCURRENCY - self.reserved


def usage(reader: Reader, account: str, region: str) -> Usage:
    functions = reader.list(FUNCTION, account, region)
    versions = reader.list(VERSION, account, region)
    codes: list[Code] = [f.spec.config.code for f in functions]
    codes += [v.spec.config.code for v in versions]
    codes += [r.spec.code for r in reader.list(LAYER, account, region)]
    return Usage(len(functions), uploaded(codes), reserved(reader, account, region))


def reserved(reader: Reader, account: str, region: str) -> int:
    """Of the account's concurrency, by all functions."""
    provisioned: dict[str, int] = {}
    for each in reader.list(PROVISIONED, account, region):
        provisioned[each.spec.function] = provisioned.get(each.spec.function, 0) + each.spec.count
    functions = reader.list(FUNCTION, account, region)
    return sum(set_aside(f.spec.reserved, provisioned.get(f.spec.function, 0)) for f in functions)


def uploaded(codes: Iterable[Code]) -> int:
    """Images count for ECR, directories for nobody."""
    return sum(code.size for code in codes if code.kind == "zip")


def set_aside(reserved: int | None, provisioned: int) -> int:
    """Of the account's concurrency, by one function: its reservation holds its provisioned environments as well."""
    return provisioned if reserved is None else reserved


def check_code(reader: Reader, account: str, region: str, more: int) -> None:
    """Raises ApiError when ``more`` bytes do not fit any more."""
    if usage(reader, account, region).code + more > CODE:
        raise ApiError("CodeStorageExceededException", "Code storage limit exceeded.")


def check_reservation(now: Usage, function: FunctionR, provisioned: int, wanted: int) -> None:
    """Raises ApiError unless ``wanted`` can be reserved in place of what the function has set aside."""
    others = now.reserved - set_aside(function.spec.reserved, provisioned)
    if CONCURRENCY - others - wanted < LEAST_UNRESERVED:
        raise invalid(
            "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below "
            f"its minimum value of [{LEAST_UNRESERVED}]."
        )
    if provisioned > wanted:
        raise invalid(
            f" ReservedConcurrentExecutions  {wanted} should not be lower than function's total provisioned concurrency "
            f"[{provisioned}]."
        )


def check_provisioned(now: Usage, function: FunctionR, others: int, before: int, wanted: int) -> None:
    """``others``: what the function's other configurations ask for, ``before``: what this one did. Raises ApiError."""
    reserved = function.spec.reserved
    if reserved is not None:
        if others + wanted > reserved:
            raise invalid(
                "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function"
            )
        return
    if wanted > CONCURRENCY:
        raise invalid(
            "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency "
            f"[{CONCURRENCY}]."
        )
    if now.unreserved + before - wanted < LEAST_UNRESERVED:
        raise invalid(
            "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its "
            f"minimum value of [{LEAST_UNRESERVED}]."
        )
