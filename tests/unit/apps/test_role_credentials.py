"""The keys of functions' roles on a node, over hours of a clock that nobody waits for."""

from __future__ import annotations

from random import Random
from typing import Any, cast

import pytest

from havre.apps.node_functions import RoleCredentials
from havre.kernel.errors import Temporary
from havre.kernel.function import Code, Function, FunctionLogs
from havre.kernel.world import World

FUNCTION = Function(
    id="f",
    arn="arn:aws:lambda:us-east-1:000000000000:function:f",
    account="000000000000",
    region="us-east-1",
    name="f",
    version="1",
    code=Code("zip"),
    role="arn:aws:iam::000000000000:role/r",
    logs=FunctionLogs("/aws/lambda/f"),
)


class Server:
    """Lends keys for an hour, unless it is ``away``."""

    def __init__(self) -> None:
        self.now, self.asked, self.away = 1_000_000.0, 0, False

    async def ask(self, what: str, question: str) -> dict[str, Any]:
        if self.away:
            raise Temporary("the server is not there")
        self.asked += 1
        return {"AccessKeyId": f"A{self.asked}", "Expiration": self.now + 3600}


async def test_keys_are_good_for_half_an_hour_whenever_they_are_asked_for() -> None:
    server = Server()
    lend = RoleCredentials(cast(Any, server), World(lambda: server.now, Random(1)))
    for _ in range(1000):
        found = await lend(FUNCTION)
        assert float(found["Expiration"]) - server.now >= 1790
        server.now += 10
    assert server.asked == 6, "one in half an hour"


async def test_while_the_server_is_away_keys_are_used_to_their_end() -> None:
    server = Server()
    lend = RoleCredentials(cast(Any, server), World(lambda: server.now, Random(1)))
    first = await lend(FUNCTION)
    server.now, server.away = server.now + 3599, True
    assert await lend(FUNCTION) == first
    server.now += 1
    with pytest.raises(Temporary):
        await lend(FUNCTION)
    server.away = False
    assert (await lend(FUNCTION))["AccessKeyId"] == "A2"
