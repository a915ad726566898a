"""JSON bodies: of the json protocols whole requests and answers, of rest-json what is not bound elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from havre.kernel.errors import ApiError
from havre.wire.checks import UNIONS, Check, Checker, Report
from havre.wire.convert import Inward, Mismatch, Outward, wire_name
from havre.wire.dialects import Dialect, refuse
from havre.wire.jsontypes import TypeBuilder
from havre.wire.models import OperationModel
from havre.wire.shapes import Shape

_Decoder = msgspec.json.Decoder[dict[str, Any]]
_MISSES = (msgspec.MsgspecError, RecursionError, ValueError)


class JsonCodec:
    """JSON bodies of one service."""

    def __init__(self, spoken: Dialect) -> None:
        self._spoken = spoken
        self._types = TypeBuilder(spoken.rules)
        self._checker = Checker(spoken.rules)
        self._inward = Inward(base64=True)
        self._outward = Outward()
        self._encode = msgspec.json.Encoder().encode
        self._unions = Checker(UNIONS)
        self._decoders: dict[str, tuple[_Decoder | None, Check | None]] = {}
        self._plain: dict[str, bool] = {}

    def parse(self, operation: OperationModel, shape: Shape, body: bytes) -> dict[str, Any]:
        """The members of ``shape`` that lie in the body, checked. Raises ApiError."""
        made = self._decoders.get(operation.name)
        if made is None:
            made = self._decoders[operation.name] = self._types.decoder(shape), self._unions.of(shape)
        decoder, check = made
        if decoder is not None and b"null" not in body:
            try:
                value = decoder.decode(body or b"{}")
                if check is None or _holds(check, value):
                    return value
            except _MISSES:
                pass
        return self._parse_slowly(operation, shape, body)

    def _parse_slowly(self, operation: OperationModel, shape: Shape, body: bytes) -> dict[str, Any]:
        value: dict[str, Any] = self.value(shape, body)
        located = frozenset(name for name, member in shape.members.items() if not member.location)
        violations = self._checker.violations(shape, value, located)
        if violations:
            raise refuse(self._spoken, operation.name, violations)
        return value

    def value(self, shape: Shape, body: bytes) -> Any:
        """The value of any shape, with its types checked but not its constraints."""
        try:
            raw = msgspec.json.decode(body or b"{}")
        except _MISSES as error:
            told = "Could not parse request body into json: " if self._spoken.unreadable else ""
            raise ApiError(self._spoken.unreadable or self._spoken.malformed, f"{told}{_cut(error)}") from None
        try:
            return self._inward.of(shape)(raw)
        except Mismatch as mismatch:
            raise ApiError(self._spoken.malformed, str(mismatch)) from None
        except RecursionError:
            raise ApiError(self._spoken.malformed, "The request is nested too deeply") from None

    def render(self, shape: Shape, answer: Mapping[str, Any]) -> bytes:
        """The members of ``answer`` that lie in the body."""
        plain = self._plain.get(shape.name)
        if plain is None:
            plain = self._plain[shape.name] = _is_plain(shape)
        if plain:
            encoded = self._encode(answer)
            if b"null" not in encoded:  # nothing to leave out, no NaN
                return encoded
        return self.render_value(shape, answer)

    def render_value(self, shape: Shape, value: Any) -> bytes:
        convert = self._outward.of(shape)
        return self._encode(value if convert is None else convert(value))


def _is_plain(shape: Shape) -> bool:
    """Whether answers of this shape are JSON as they are: nothing renamed, nothing bound elsewhere."""
    for each in shape.walk():
        if each.type == "timestamp" and each.timestamp_format not in ("", "unixtimestamp"):
            return False
        if any(m.answer_location or m.event_stream or wire_name(name, m) != name for name, m in each.members.items()):
            return False
    return True


def _holds(check: Check, value: dict[str, Any]) -> bool:
    report: Report = []
    check(value, "", "", report)
    return not report


def _cut(error: Exception) -> str:
    return str(error)[:200]
