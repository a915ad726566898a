"""Docker's statistics with what came before them: CPU and network are rates only beside an earlier sample."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from havre.engines.ports import ContainerEngine

Sample = Mapping[str, Any]

_FIRST_WAIT = 1.0
"""Seconds between the first two samples of a container; AWS too has no answer earlier."""


class Sampler:
    """Remembers the last sample of each container that somebody asked for."""

    def __init__(self, engine: ContainerEngine) -> None:
        self._engine = engine
        self._last: dict[str, Sample] = {}

    async def sample(self, id: str) -> dict[str, Any]:
        """In Docker's shape, with ``network_rate_stats`` as version 4 has it. Raises Temporary, Permanent, Gone."""
        before = self._last.get(id)
        if before is None:
            before = await self._engine.stats(id)
            await asyncio.sleep(_FIRST_WAIT)
        now = self._last[id] = await self._engine.stats(id)
        told = {**now, "precpu_stats": before.get("cpu_stats", {}), "preread": before.get("read", "")}
        rate = network_rate(before, now)
        return {**told, "network_rate_stats": rate} if rate else told

    def keep_only(self, ids: Iterable[str]) -> None:
        alive = set(ids)
        self._last = {id: sample for id, sample in self._last.items() if id in alive}


def network_rate(before: Sample, now: Sample) -> dict[str, float]:
    """Bytes a second over all interfaces; nothing without a network or within one moment."""
    if not before.get("networks") or not now.get("networks"):
        return {}
    seconds = (_moment(now["read"]) - _moment(before["read"])).total_seconds()
    if seconds <= 0:
        return {}
    return {
        f"{way}_per_sec": max(0.0, (_sum(now, way) - _sum(before, way)) / seconds) for way in ("rx_bytes", "tx_bytes")
    }


def _sum(sample: Sample, member: str) -> int:
    return sum(int(interface.get(member, 0)) for interface in sample["networks"].values())


def _moment(text: str) -> datetime:
    """Docker writes nanoseconds, which datetime does not read."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{fraction[:6].ljust(6, '0')}")
