"""What the workloads of a node use: asked for by the server, once a minute, for all of them at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Protocol

from havre.core.usage import Used, of_stats, together
from havre.engines.ports import ContainerEngine, RunState
from havre.kernel.errors import Gone, Permanent, Temporary

AT_ONCE = 4


class _Worker(Protocol):
    @property
    def containers(self) -> dict[str, RunState]: ...


async def measure(engine: ContainerEngine, workers: Iterable[tuple[str, _Worker]]) -> dict[str, tuple[int, int]]:
    """The answer to ``messages.USAGE``: of those that have a container running."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(id: str) -> Used | None:
        async with room:
            with contextlib.suppress(Temporary, Permanent, Gone):
                return of_stats(await engine.stats(id))
        return None

    async def whole(worker: _Worker) -> Used | None:
        running = [state.id for state in worker.containers.values() if state.state == "running"]
        found = [used for used in await asyncio.gather(*map(one, running)) if used is not None]
        return together(found) if found and len(found) == len(running) else None

    known = tuple(workers)
    measured = await asyncio.gather(*(whole(worker) for _, worker in known))
    return {id: (used.cpu, used.memory) for (id, _), used in zip(known, measured, strict=True) if used is not None}
