"""The Telemetry API and the Logs API before it: extensions get what happens as batches over HTTP, inside their sandbox."""

from __future__ import annotations

from typing import Any

from havre.control.functions.api import Exchange
from havre.control.functions.extensions import refuse
from havre.control.functions.lines import EventLog
from havre.engines.sandbox import Sandbox
from havre.kernel.world import World


class Telemetry:
    def __init__(self, log: EventLog, world: World) -> None:
        self._log = log
        self._world = world

    def subscribe(self, exchange: Exchange, version: str, name: str, sandbox: Sandbox) -> None:
        refuse(exchange, "Telemetry.NotSupported", "Telemetry is not there yet", 501)

    def event(self, at: float, kind: str, record: Any) -> None: ...

    async def drain(self) -> None: ...

    def close(self) -> None: ...
