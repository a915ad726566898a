"""Environments that live longer than any credentials, through hours that pass in a moment."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any, cast

from tests.unit.control.functions.harness import Clock, Ground, ground

from havre.apps.node_functions import RoleCredentials
from havre.core.environments import Phase, Rules
from havre.kernel.function import Provisioned
from havre.kernel.world import World

TIMEOUT = 300
KEYS = """
    import json, os, urllib.request
    def handler(event, context):
        if token := os.environ.get("AWS_SESSION_TOKEN"):
            return token
        address, word = (os.environ["AWS_CONTAINER_" + n] for n in ("CREDENTIALS_FULL_URI", "AUTHORIZATION_TOKEN"))
        asked = urllib.request.Request(address, headers={"Authorization": word})
        return json.load(urllib.request.urlopen(asked))["Token"]
"""


class Server:
    """Lends keys for an hour, as STS does; a token says when they end."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    async def ask(self, what: str, question: str) -> Mapping[str, str | float]:
        end = self.clock.now() + 3600
        return {"AccessKeyId": "A", "SecretAccessKey": "S", "SessionToken": str(end), "Expiration": end}


async def hours(g: Ground, clock: Clock, seconds: float, ready: str = "") -> None:
    """Pass, half a minute after the other, with all that is due, and what it begins. ``ready``: one of this function's
    environments is at every moment."""
    for _ in range(int(seconds / 30)):
        clock.pass_by(30.0)
        g.plane._environments.tick()
        assert not ready or g.plane._fleet.ready(ready) == 1
        while any(m.phase is Phase.STARTING for m in g.plane._fleet.members()):
            await asyncio.sleep(0.005)


async def test_no_keys_end_in_an_environment_and_one_is_always_ready(tmp_path: Path) -> None:
    clock = Clock()
    lend = RoleCredentials(cast(Any, Server(clock)), World(clock.now, Random(1)))
    async with ground(tmp_path, rules=Rules(memory=8192, rest=1e9), credentials=lend, clock=clock) as g:
        function = g.function(KEYS, timeout=TIMEOUT)
        await g.hub.provision(function, 1)
        while g.hub.provisioned().get(function.id) != Provisioned(1, 1):
            await asyncio.sleep(0.01)
        for _ in range(60):  # five hours
            await hours(g, clock, 300, ready=function.id)
            found = await g.invoke(function)
            assert found.init is None, "it was ready"
            assert float(json.loads(found.payload)) >= clock.now() + TIMEOUT, "they last as long as it may take"
        assert 5 <= g.engine.calls["obtain"] <= 12, "each serves as long as its keys let it"


async def test_a_snapshot_has_keys_after_hours_and_while_it_serves_for_hours(tmp_path: Path) -> None:
    clock = Clock()
    lend = RoleCredentials(cast(Any, Server(clock)), World(clock.now, Random(1)))
    async with ground(tmp_path, rules=Rules(memory=8192, idle=1e9), credentials=lend, clock=clock) as g:
        function = g.function(KEYS, timeout=TIMEOUT, snap_start=True)
        await g.hub.prepare(function)
        for _ in range(3):
            await hours(g, clock, 2 * 3600)
            found = json.loads((await g.invoke(function)).payload)
            assert float(found) >= clock.now() + TIMEOUT
        assert g.engine.calls["obtain"] == 2, "the same one, and the next one that waits"
