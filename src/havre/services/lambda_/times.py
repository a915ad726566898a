"""Lambda's spelling of times."""

from __future__ import annotations

from datetime import UTC, datetime


def spelled(at: float) -> str:
    """``2026-01-31T12:00:00.000+0000``"""
    moment = datetime.fromtimestamp(at, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}+0000"
