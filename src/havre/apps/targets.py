"""The Unix socket behind which functions and HTTP APIs answer the proxy: open to who may read the state directory."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from havre.apps.http.listeners import Listeners
from havre.gateway.ports import Asgi

HEADER, DOMAINS = b"x-havre-target-group", b"arn:aws:apigateway:"


class Doors:
    """Who answers: the proxy names the target group of a function, or a domain name of API Gateway."""

    def __init__(self, functions: Asgi, domains: Callable[[], Asgi]) -> None:
        self._functions, self._domains = functions, domains

    async def asgi(self, scope: Any, receive: Any, send: Any) -> None:
        named = next((value for name, value in scope.get("headers", ()) if name == HEADER), b"")
        door = self._domains() if named.startswith(DOMAINS) else self._functions
        await door(scope, receive, send)


async def serve(app: Any, path: Path) -> None:
    """For ever. The socket takes its name when it listens: an older one is replaced at once."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(str(fresh))
    fresh.chmod(0o600)
    listeners = Listeners(app)
    await listeners.adopt(sock, (str(path), 0))
    fresh.replace(path)
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        await listeners.close()
