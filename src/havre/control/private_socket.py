"""The Unix sockets at which nodes find their server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path


async def serve_privately(path: Path, begin: Callable[[str], Awaitable[asyncio.AbstractServer]]) -> None:
    """For ever: listen on a Unix socket (0600), which takes its name when it answers. ``begin`` is told where to listen."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    server = await begin(str(fresh))
    fresh.chmod(0o600)
    fresh.replace(path)
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        server.close()
