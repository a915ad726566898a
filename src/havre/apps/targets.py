"""The Unix socket behind which functions answer load balancers: who may open it is who may read the state directory."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

from havre.apps.http.listeners import Listeners


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
