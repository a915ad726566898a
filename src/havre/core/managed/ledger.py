"""Who has how many vCPUs of which capacity provider."""

from __future__ import annotations

_NEARLY = 1e-9


class Ledger:
    """``id`` is whatever environments are counted by. All vCPUs may be fractions."""

    def __init__(self) -> None:
        self._claims: dict[str, dict[str, tuple[int, float]]] = {}

    def used(self, provider: str, *, but: str = "") -> float:
        """vCPUs of all but this one."""
        return sum(count * each for id, (count, each) in self._claims.get(provider, {}).items() if id != but)

    def has(self, provider: str, id: str) -> int:
        """Environments."""
        return self._claims.get(provider, {}).get(id, (0, 0.0))[0]

    def claim(self, provider: str, id: str, each: float, count: int, most: float) -> int:
        """``count`` environments of ``each`` vCPUs, in place of what ``id`` had: gives how many it has now. Together they
        never have more than ``most`` by this; whoever had more before, when ``most`` was more, gives back first."""
        granted = fitting(count, each, most - self.used(provider, but=id))
        claims = self._claims.setdefault(provider, {})
        if granted:
            claims[id] = (granted, each)
        else:
            claims.pop(id, None)
        if not claims:
            del self._claims[provider]
        return granted

    def release(self, provider: str, id: str) -> None:
        self.claim(provider, id, 1.0, 0, 0.0)


def fitting(count: int, each: float, room: float) -> int:
    """How many of ``count`` environments of ``each`` vCPUs have room."""
    return max(0, min(count, int(room / each + _NEARLY)))
