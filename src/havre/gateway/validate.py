"""Requests from inside are values already: the model's constraints hold for them as for those that came as bytes."""

from __future__ import annotations

from havre.control.operation import Request
from havre.kernel.errors import ApiError
from havre.wire.checks import Checker
from havre.wire.dialects import dialect, refuse
from havre.wire.models import ServiceModel

_MEMO = "gateway.checker"


def validate(model: ServiceModel, name: str, request: Request) -> None:
    """Raises ApiError as the service's front does; TypeError for a member that the operation does not have, which is the
    caller's slip."""
    operation = model.operations.get(name)
    if operation is None:
        raise ApiError("UnknownOperationException", f"{model.name} has no operation {name}")
    if operation.input is None:
        return
    unknown = request.keys() - operation.input.members.keys()
    if unknown:
        raise TypeError(f"{model.name} {name} has no member {', '.join(sorted(unknown))}")
    spoken = dialect(model, model.protocol)
    checker = model.memo.get(_MEMO)
    if checker is None:
        checker = model.memo[_MEMO] = Checker(spoken.rules)
    violations = checker.violations(operation.input, request)
    if violations:
        raise refuse(spoken, name, violations)
