"""Provisioned concurrency of an alias, over the versions that it routes to."""

from __future__ import annotations

from collections.abc import Sequence


def split(count: int, shares: Sequence[tuple[str, float]]) -> dict[str, int]:
    """By the shares, which together are 1; the parts together are ``count``, and whoever has a share has the more of it the
    larger it is. Versions that get none are left out."""
    parts = {version: int(count * share) for version, share in shares}
    left = count - sum(parts.values())
    by_rest = sorted(shares, key=lambda each: (int(count * each[1]) - count * each[1], -each[1]))
    for version, _ in by_rest[: max(0, left)]:
        parts[version] += 1
    return {version: part for version, part in parts.items() if part}
