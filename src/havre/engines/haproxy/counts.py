"""What the proxy has counted since its worker began. A reload begins anew: what came since the last look is lost."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping

from havre.engines.haproxy.text import name
from havre.kernel.balancer import PoolTraffic

COMMAND = "show stat -1 6 -1"
"""Backends and servers."""
_HUNDREDS = ("hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx")


def traffic(said: str, pools: Iterable[str]) -> dict[str, PoolTraffic]:
    """What it says to COMMAND; by the ids of pools."""
    backends: dict[str, Mapping[str, str]] = {}
    servers: dict[str, list[int]] = {}
    for row in csv.DictReader(said.lstrip("# \n").splitlines()):
        if row["svname"] == "BACKEND":
            backends[row["pxname"]] = row
        else:
            found = servers.setdefault(row["pxname"], [0] * len(_HUNDREDS))
            for place, column in enumerate(_HUNDREDS):
                found[place] += _number(row[column])
    return {
        pool: _of(backends[named], servers.get(named, [0] * len(_HUNDREDS)))
        for pool in pools
        if (named := name("p", pool)) in backends
    }


def _of(backend: Mapping[str, str], answered: list[int]) -> PoolTraffic:
    ok, moved, wrong, broken = answered
    refused = max(0, _number(backend["hrsp_4xx"]) - wrong)
    failed = max(0, _number(backend["hrsp_5xx"]) - broken)
    return PoolTraffic(_number(backend["stot"]), (ok, moved, wrong, broken), refused, failed)


def _number(text: str | None) -> int:
    return int(text) if text else 0
