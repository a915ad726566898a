"""Work that blocks, or that changes the thread that it runs on: each in a thread of its own, which ends behind it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

R = TypeVar("R")


async def aside(work: Callable[[], R]) -> R:
    """Run ``work`` in a fresh thread, to its end even when nobody waits for it any more. Raises what it raises."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[R] = loop.create_future()

    def settle(result: R | None, error: Exception | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def thread() -> None:
        try:
            result = work()
        except Exception as error:
            loop.call_soon_threadsafe(settle, None, error)
        else:
            loop.call_soon_threadsafe(settle, result, None)

    threading.Thread(target=thread, daemon=True).start()
    return await done
