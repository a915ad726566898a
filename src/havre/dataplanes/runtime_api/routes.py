"""Which request is which."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from havre.control.functions.api import Exchange, Host

STREAMED = b"lambda-runtime-function-response-mode"

_Serve = Callable[[Host, Exchange], None]
_INVOCATION = b"/2018-06-01/runtime/invocation/"
_NOT_FOUND = b'{"errorMessage":"Not Found","errorType":"NotFound"}\n'
_NOT_ALLOWED = b'{"errorMessage":"Method Not Allowed","errorType":"MethodNotAllowed"}\n'


class Route:
    """``id`` is the invocation that a response or an error is about."""

    __slots__ = ("_serve", "id", "what")

    def __init__(self, what: str, id: str = "", serve: _Serve | None = None) -> None:
        self.what = what
        self.id = id
        self._serve = serve

    def serve(self, host: Host, exchange: Exchange) -> None:
        if self._serve is not None:
            self._serve(host, exchange)
        elif self.what == "response":
            host.response(exchange, self.id)
        else:
            host.error(exchange, self.id)


def _refuse(status: int, body: bytes, host: Host, exchange: Exchange) -> None:
    exchange.answer(status, body)


def _ping(host: Host, exchange: Exchange) -> None:
    exchange.answer(200, b"pong")


_ROUTES: dict[bytes, dict[bytes, Route]] = {
    b"/2018-06-01/runtime/invocation/next": {b"GET": Route("next", serve=lambda h, x: h.next(x))},
    b"/2018-06-01/runtime/init/error": {b"POST": Route("init_error", serve=lambda h, x: h.init_error(x))},
    b"/2018-06-01/runtime/restore/next": {b"GET": Route("restore_next", serve=lambda h, x: h.restore_next(x))},
    b"/2018-06-01/runtime/restore/error": {b"POST": Route("restore_error", serve=lambda h, x: h.restore_error(x))},
    b"/2021-04-23/credentials": {b"GET": Route("credentials", serve=lambda h, x: h.credentials(x))},
    b"/2018-06-01/ping": {b"GET": Route("ping", serve=_ping)},
    b"/2020-01-01/extension/register": {b"POST": Route("register", serve=lambda h, x: h.register(x))},
    b"/2020-01-01/extension/event/next": {b"GET": Route("event_next", serve=lambda h, x: h.event_next(x))},
    b"/2020-01-01/extension/init/error": {
        b"POST": Route("extension_error", serve=lambda h, x: h.extension_error(x, "init"))
    },
    b"/2020-01-01/extension/exit/error": {
        b"POST": Route("extension_error", serve=lambda h, x: h.extension_error(x, "exit"))
    },
    b"/2022-07-01/telemetry": {b"PUT": Route("subscribe", serve=lambda h, x: h.subscribe(x, "2022-07-01"))},
    b"/2020-08-15/logs": {b"PUT": Route("subscribe", serve=lambda h, x: h.subscribe(x, "2020-08-15"))},
}
_UNKNOWN = Route("unknown", serve=partial(_refuse, 404, _NOT_FOUND))
_WRONG_METHOD = Route("unknown", serve=partial(_refuse, 405, _NOT_ALLOWED))


def route(method: bytes, url: bytes) -> Route:
    path = url.partition(b"?")[0].rstrip(b"/")
    found = _ROUTES.get(path)
    if found is not None:
        return found.get(method, _WRONG_METHOD)
    if path.startswith(_INVOCATION):
        id, slash, what = path[len(_INVOCATION) :].partition(b"/")
        if slash and what in (b"response", b"error"):
            return Route(what.decode(), id.decode("latin-1")) if method == b"POST" else _WRONG_METHOD
    return _UNKNOWN
