"""The life of a task: its states, forwards only."""

from __future__ import annotations

PHASES = (
    "PROVISIONING",
    "PENDING",
    "ACTIVATING",
    "RUNNING",
    "DEACTIVATING",
    "STOPPING",
    "DEPROVISIONING",
    "STOPPED",
)
_ORDER = {phase: n for n, phase in enumerate(PHASES)}


def forward(was: str, seen: str) -> str:
    """The later of two phases: what a late or repeated report says never moves a task back."""
    return seen if _ORDER[seen] > _ORDER[was] else was


def before(phase: str, other: str) -> bool:
    return _ORDER[phase] < _ORDER[other]


def starting(phase: str) -> bool:
    """On the way to RUNNING."""
    return _ORDER[phase] < _ORDER["RUNNING"]


def ending(phase: str) -> bool:
    """Behind RUNNING."""
    return _ORDER[phase] > _ORDER["RUNNING"]
