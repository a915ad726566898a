"""Whether a composite alarm's actions are held back by another alarm, and how long.

When the alarm changes, its suppressor has some time to go into ALARM (WaitPeriod); as long as it is there, nothing is done
(Alarm), and for some time after it has left (ExtensionPeriod). What is held back at the end of that is done.
"""

from __future__ import annotations

import msgspec

WAIT, ALARM, EXTENSION = "WaitPeriod", "Alarm", "ExtensionPeriod"


class Terms(msgspec.Struct, frozen=True):
    """Seconds."""

    wait: float
    extension: float


class Hold(msgspec.Struct, frozen=True):
    """``until``: when it ends by itself, in seconds since the epoch; of no meaning for ALARM."""

    by: str
    until: float = 0.0


def begin(terms: Terms, raised: bool, now: float) -> Hold | None:
    """When the alarm has changed. ``raised``: its suppressor is in ALARM. None: its actions are done at once."""
    if raised:
        return Hold(ALARM)
    return Hold(WAIT, now + terms.wait) if terms.wait > 0 else None


def go_on(hold: Hold, terms: Terms, raised: bool, now: float) -> Hold | None:
    """None: what was held back is done now."""
    if raised:
        return Hold(ALARM)
    if hold.by == ALARM:
        return Hold(EXTENSION, now + terms.extension) if terms.extension > 0 else None
    return hold if now < hold.until else None
