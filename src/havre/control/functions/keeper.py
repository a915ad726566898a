"""What all who have environments do with their sandboxes."""

from __future__ import annotations

import gc
import logging

from havre.control.functions import container_credentials
from havre.control.functions.api import Exchange
from havre.control.functions.environment import Environment
from havre.control.functions.life import end
from havre.control.tasks import Tasks
from havre.kernel.errors import Gone, Permanent, Temporary

log = logging.getLogger("havre.functions")

LITTER = 100
"""Environments that have ended, after which their memory is taken back: 25 KiB each, in circles. A node makes so few objects
for an invocation that the collector would wait for thousands of them."""


class Keeper:
    """``sandboxes`` tells whose output is whose, of all keepers of the node."""

    def __init__(self, sandboxes: dict[str, Environment]) -> None:
        self._sandboxes = sandboxes
        self._tasks = Tasks()
        self._litter = 0

    def attach(self, environment: Environment) -> None:
        if environment.sandbox is not None:
            self._sandboxes[environment.sandbox.id] = environment

    def detach(self, environment: Environment) -> None:
        if environment.sandbox is not None:
            self._sandboxes.pop(environment.sandbox.id, None)

    def lend(self, environment: Environment, exchange: Exchange) -> None:
        self._tasks.spawn(container_credentials.answer(environment, exchange), "lend credentials to an environment")

    def _let_end(self, environment: Environment, reason: str) -> None:
        """It takes no invocation any more; its end goes on by itself."""
        environment.ending = True
        self._tasks.spawn(self._end(environment, reason), "end an environment")

    async def _end(self, environment: Environment, reason: str) -> None:
        try:
            await end(environment, reason)
        except (Permanent, Temporary, Gone) as error:
            log.error("a sandbox of %s could not be removed: %s", environment.function.arn, error)
        self._litter += 1
        if self._litter >= LITTER:
            self._litter = 0
            gc.collect()  # milliseconds: what was loaded at the start is not looked through
