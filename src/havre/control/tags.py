"""Tags, as most services keep and show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def without(tags: Mapping[str, str], keys: Iterable[str]) -> dict[str, str]:
    """The tags whose keys are none of these."""
    gone = frozenset(keys)
    return {key: value for key, value in tags.items() if key not in gone}


def shown(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """A list of ``Key`` and ``Value``, in the order of the keys."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
