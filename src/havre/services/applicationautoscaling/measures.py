"""What is measured of scalable targets: filled in by apps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Utilization = Callable[[str, str, str, str], float | None]
"""(account, region, function, qualifier) → the part of the provisioned environments that is at work, 0 to 1; None when there
are none."""


@dataclass
class Measures:
    provisioned_concurrency: Utilization
