"""Whether an answer is one that its operation can give: finds the slips of services in tests and in debug mode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from havre.wire.models import OperationModel, ServiceModel
from havre.wire.shapes import Shape

_KINDS: dict[str, tuple[type, ...]] = {
    "blob": (bytes, bytearray),
    "boolean": (bool,),
    "character": (str,),
    "double": (int, float),
    "float": (int, float),
    "integer": (int,),
    "long": (int,),
    "string": (str,),
    "timestamp": (int, float),
}
_BEYOND = frozenset((("LastUpdateStatusReasonCode", "Creating"),))
"""(shape, word) that AWS itself answers, although its model does not have it."""
_HEADERS = frozenset((("InvocationResponse", "TraceHeader"),))
"""(shape, member) that a dialect makes a header of."""


class AnswerError(ValueError):
    """An answer with members or values that the model does not have; the message names each."""


def check_answer(model: ServiceModel, operation: str | OperationModel, answer: Mapping[str, Any] | None) -> None:
    """Raises AnswerError for unknown members, values of other types and words outside of their enum."""
    found = model.operations[operation] if isinstance(operation, str) else operation
    wrong: list[str] = []
    if found.output is not None:
        _check(found.output, answer or {}, found.name, wrong)
    elif answer:
        wrong.append(f"{found.name}: answers nothing, not {sorted(answer)}")
    if wrong:
        raise AnswerError("; ".join(wrong))


def _check(shape: Shape, value: Any, path: str, wrong: list[str]) -> None:
    if shape.document or shape.event_stream or shape.traits.get("streaming"):
        return
    if shape.type == "structure":
        _check_structure(shape, value, path, wrong)
    elif shape.type == "list":
        if not isinstance(value, (list, tuple)):
            wrong.append(f"{path}: a list, not {type(value).__name__}")
            return
        for index, one in enumerate(value):
            _check(shape.member, one, f"{path}[{index}]", wrong)
    elif shape.type == "map":
        if not isinstance(value, Mapping):
            wrong.append(f"{path}: a map, not {type(value).__name__}")
            return
        for key, one in value.items():
            _check(shape.key, key, f"{path} key", wrong)
            _check(shape.value, one, f"{path}[{key!r}]", wrong)
    else:
        _check_leaf(shape, value, path, wrong)


def _check_structure(shape: Shape, value: Any, path: str, wrong: list[str]) -> None:
    if not isinstance(value, Mapping):
        wrong.append(f"{path}: a structure, not {type(value).__name__}")
        return
    for name, one in value.items():
        member = shape.members.get(name)
        if member is None and (shape.name, name) in _HEADERS:
            continue
        if member is None:
            wrong.append(f"{path}.{name}: {shape.name} has no such member")
        elif one is not None:
            _check(member, one, f"{path}.{name}", wrong)


def _check_leaf(shape: Shape, value: Any, path: str, wrong: list[str]) -> None:
    kinds = _KINDS.get(shape.type)
    if kinds is None:
        return
    if not isinstance(value, kinds) or (isinstance(value, bool) and shape.type != "boolean"):
        wrong.append(f"{path}: {shape.type}, not {type(value).__name__}")
    elif shape.enum and value not in shape.enum and (shape.name, value) not in _BEYOND:
        wrong.append(f"{path}: {value!r} is none of {', '.join(shape.enum[:12])}")
