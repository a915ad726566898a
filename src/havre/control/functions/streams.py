"""An answer that a function writes piece by piece."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable

from havre.control.functions.api import OK, Exchange
from havre.control.functions.ticket import Ticket
from havre.core.environments import failures
from havre.core.environments.failures import Failure

MOST = 200 << 20
_ERROR_TYPE = b"lambda-runtime-function-error-type"
_ERROR_BODY = b"lambda-runtime-function-error-body"

Done = Callable[[Ticket, bytes, str, Failure | None], None]
"""(invocation, answer in one piece where the caller wants that, content type, how it failed)."""


class StreamSink:
    """Pieces go to the caller as they come, as fast as the caller takes them; to one who wants an answer in one piece, they
    are put together."""

    def __init__(self, ticket: Ticket, exchange: Exchange, done: Done) -> None:
        self._ticket = ticket
        self._exchange = exchange
        self._done = done
        self._kind = exchange.header(b"content-type") or "application/octet-stream"
        self._kept: list[bytes] = []
        self._size = 0
        self._limit = MOST if ticket.asked.streaming else failures.MAX_RESPONSE
        if ticket.asked.streaming:
            ticket.on_room = exchange.resume
            ticket.head(self._kind)

    def piece(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._limit:
            return
        if not self._ticket.asked.streaming:
            self._kept.append(data)
        elif not self._ticket.piece(data):
            self._exchange.pause()

    def end(self, exchange: Exchange, whole: bool) -> None:
        self._ticket.on_room = None
        exchange.resume()  # the caller may not have taken the last pieces yet, but the connection is the next request's
        failure = self._failure(exchange, whole)
        payload = b"" if failure else b"".join(self._kept)
        self._done(self._ticket, payload, self._kind, failure)
        if self._size > self._limit:
            exchange.answer(
                413, b'{"errorMessage":"Exceeded maximum allowed payload size","errorType":"RequestEntityTooLarge"}'
            )
        else:
            exchange.answer(202, OK)

    def _failure(self, exchange: Exchange, whole: bool) -> Failure | None:
        if self._size > self._limit:
            words = f"Response payload size exceeded maximum allowed payload size ({self._limit} bytes)."
            return failures.failure(failures.TOO_LARGE, words)
        if not whole:
            return failures.failure("Runtime.TruncatedResponse", "Response payload was truncated")
        kind = exchange.header(_ERROR_TYPE)
        if not kind:
            return None
        try:
            body = base64.b64decode(exchange.header(_ERROR_BODY), validate=True)
        except binascii.Error:
            body = b""
        return failures.reported(body, kind)
