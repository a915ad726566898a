"""Health checks as Docker runs them: at intervals, in the container, with retries before anybody worries."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from havre.kernel.errors import Gone, Permanent, Temporary
from havre.kernel.workload import HealthCheck

Exec = Callable[[Sequence[str]], Awaitable[int]]


def command(check: HealthCheck) -> list[str]:
    kind, *rest = check.command
    if kind == "CMD-SHELL":
        return ["/bin/sh", "-c", *rest]
    return rest if kind == "CMD" else list(check.command)


async def watch(check: HealthCheck, age: float, run: Exec, told: Callable[[str], None], health: str) -> None:
    """Until it is cancelled. ``age``: seconds since its start; ``run`` gives an exit code; ``health`` is what is known of
    it: failures count once it was healthy, or when its start period is over."""
    loop, failures = asyncio.get_running_loop(), 0
    began = loop.time() - age
    while True:
        await asyncio.sleep(check.interval)
        if await _passes(check, run):
            failures = 0
            health = _tell("HEALTHY", health, told)
        elif health != "UNKNOWN" or loop.time() - began > check.start_period:
            failures += 1
            if failures >= check.retries:
                health = _tell("UNHEALTHY", health, told)


async def _passes(check: HealthCheck, run: Exec) -> bool:
    try:
        async with asyncio.timeout(check.timeout):
            return await run(command(check)) == 0
    except (TimeoutError, Permanent, Temporary, Gone):
        return False


def _tell(now: str, before: str, told: Callable[[str], None]) -> str:
    if now != before:
        told(now)
    return now
