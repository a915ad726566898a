"""Reconcilers that look after everything at once, every so often."""

from __future__ import annotations

from collections.abc import Iterable

from havre.control.deps import ReconcilerDeps
from havre.store.ports import Change

ALL = "all"


class Sweep:
    """One key, whatever there is, and no change that matters: what it looks for shows with time. ``name``, ``resync``,
    ``observe``, ``decide`` and ``executors`` are the sweep's own."""

    watches: tuple[str, ...] = ()

    def __init__(self, deps: ReconcilerDeps) -> None:
        self._deps = deps

    def keys_of(self, change: Change) -> Iterable[str]:
        return ()

    def all_keys(self) -> Iterable[str]:
        return (ALL,)

    def key_of(self, arn: str) -> str | None:
        return None
