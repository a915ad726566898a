"""Interleaved rounds, medians, and one JSON line a promise.

A machine is noisy, so a figure counts only next to its peer's, measured in turns with it in the same run::

    promise = Promise("durable store writes, 32 writers", unit="writes/s", target=">= 2")
    promise.run(ours=measure_havre, peer=measure_etcd, rounds=5)
    promise.report()
"""

from __future__ import annotations

import json
import math
import operator
import os
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

_COMPARE = {">=": operator.ge, "<=": operator.le}


def rounds(default: int) -> int:
    """How many rounds: ``BENCH_ROUNDS`` in the environment overrides what a script asks for."""
    return int(os.environ.get("BENCH_ROUNDS", default))


@dataclass
class Promise:
    """``target`` is ``>= X`` or ``<= X``, for ours divided by the peer's. ``peer`` is the peer's name."""

    name: str
    unit: str
    target: str
    peer: str = ""
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)

    def run(self, ours: Callable[[], float], peer: Callable[[], float], rounds: int = 5, warm_up: int = 1) -> Promise:
        """Measure in turns; who begins changes from round to round. The first rounds warm up and do not count."""
        for n in range(warm_up + rounds):
            first, second = (ours, peer) if n % 2 else (peer, ours)
            one, other = first(), second()
            mine, other_s = (one, other) if n % 2 else (other, one)
            if n >= warm_up:
                self.add(mine, other_s)
        return self

    def add(self, ours: float, peer: float) -> None:
        """One round that was measured elsewhere."""
        self.ours.append(ours)
        self.theirs.append(peer)
        print(f"  {self.name}: {ours:.6g} to {peer:.6g} {self.unit}", file=sys.stderr, flush=True)

    @property
    def ratio(self) -> float:
        """Of the medians; NaN without rounds."""
        if not self.ours:
            return math.nan
        peer = statistics.median(self.theirs)
        return statistics.median(self.ours) / peer if peer else math.inf

    @property
    def kept(self) -> bool:
        sign, bound = self.target.split()
        return bool(_COMPARE[sign](self.ratio, float(bound)))

    def report(self) -> bool:
        """A line for people on stderr, a JSON line on stdout. True when the promise is kept."""
        ours, peer = statistics.median(self.ours), statistics.median(self.theirs)
        verdict = "kept" if self.kept else "NOT KEPT"
        print(
            f"{self.name}: {ours:.6g} {self.unit}, {self.peer or 'peer'} {peer:.6g}; "
            f"ratio {self.ratio:.3g} (target {self.target}, {len(self.ours)} rounds) {verdict}",
            file=sys.stderr,
        )
        line = {
            "promise": self.name,
            "ratio": round(self.ratio, 4),
            "target": self.target,
            "ours": ours,
            "peer": peer,
            "unit": self.unit,
            "against": self.peer,
            "rounds": len(self.ours),
            "kept": self.kept,
        }
        print(json.dumps(line), flush=True)
        return self.kept


def finish(*promises: Promise) -> None:
    """Report all; the exit status is 1 when one is not kept."""
    kept = [promise.report() for promise in promises]
    raise SystemExit(0 if all(kept) else 1)
