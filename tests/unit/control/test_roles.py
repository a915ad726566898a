"""Roles that services assume: whose session it is, and for how long it serves."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from havre.control.deps import ReconcilerDeps
from havre.control.operation import Aws, Site
from havre.control.roles import FRESH, Roles
from havre.kernel.world import World
from havre.store.memory import MemoryJournal, MemoryStore

ROLE = "arn:aws:iam::111122223333:role/shared"


class Sts:
    """It counts what is assumed; what calls with credentials is their name."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.assumed: list[str] = []
        world = World(lambda: self.now, Random(1))
        self.deps = ReconcilerDeps(MemoryStore([], world), MemoryJournal(), world, Site(), self.aws_for, self.aws_with)  # type: ignore[arg-type]

    def aws_for(self, account: str, region: str, service: str) -> Aws:
        async def call(service: str, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
            self.assumed.append(request["RoleSessionName"])
            return {"Credentials": {"AccessKeyId": request["RoleSessionName"]}}

        return call  # type: ignore[return-value]

    def aws_with(self, account: str, region: str, credentials: Mapping[str, Any], trace: str = "") -> Any:
        return credentials["AccessKeyId"], trace


async def test_each_has_a_session_of_its_own_which_serves_for_a_while() -> None:
    sts = Sts()
    roles = Roles(sts.deps, "lambda.amazonaws.com")

    async def who(session: str, trace: str = "") -> Any:
        return await roles.acting(ROLE, "111122223333", "eu-west-1", session, trace)

    assert await who("one") == ("one", "")
    assert await who("other", "Root=1") == ("other", "Root=1")
    assert await who("one") == ("one", "")
    assert sts.assumed == ["one", "other"]
    sts.now += FRESH
    assert await who("one") == ("one", "")
    assert sts.assumed == ["one", "other", "one"]


async def test_names_of_sessions_are_what_sts_takes() -> None:
    sts = Sts()
    roles = Roles(sts.deps, "lambda.amazonaws.com")
    for session in ("x", "y" * 70):
        await roles.acting(ROLE, "111122223333", "eu-west-1", session)
    assert sts.assumed == ["x-", "y" * 64]
