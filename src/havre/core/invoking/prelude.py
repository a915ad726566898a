"""Status and headers at the head of a streamed HTTP answer: JSON, eight NUL bytes, then the body."""

from __future__ import annotations

import msgspec

from havre.core.http_events import BadAnswer, HttpAnswer, answer_of
from havre.core.invoking.payloads import value

CONTENT_TYPE = "application/vnd.awslambda.http-integration-response"
END = b"\0" * 8
MOST = 1024 * 1024
"""Bytes of the JSON."""


class Prelude:
    """Fed with an answer's pieces until it is whole. ``rest`` is what of the body came with it."""

    def __init__(self) -> None:
        self._data = b""
        self.rest = b""

    def feed(self, piece: bytes) -> HttpAnswer | None:
        """The answer without its body, once all of the prelude is there. Raises BadAnswer."""
        looked = max(0, len(self._data) - len(END) + 1)
        self._data += piece
        at = self._data.find(END, looked)
        if at < 0:
            if len(self._data) > MOST:
                raise BadAnswer("the prelude does not end")
            return None
        told, self.rest = self._data[:at], self._data[at + len(END) :]
        return _head(told)


def _head(told: bytes) -> HttpAnswer:
    head = value(told)
    if not isinstance(head, dict):
        raise BadAnswer("the prelude is no JSON object")
    known = {name: head[name] for name in ("headers", "multiValueHeaders", "cookies") if name in head}
    return answer_of(msgspec.json.encode({"statusCode": head.get("statusCode", 200), **known}))
