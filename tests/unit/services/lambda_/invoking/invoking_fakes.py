"""Functions that run in the test, and functions' records without CreateFunction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from havre.kernel.function import Code, Function, FunctionLogs, Invocation, Outcome, Provisioned
from havre.kernel.resource import NoStatus
from havre.services.lambda_.queries import function_arn
from havre.services.lambda_.resources import (
    ALIAS,
    FUNCTION,
    VERSION,
    AliasSpec,
    Configuration,
    FunctionSpec,
    Policy,
    Readiness,
    Statement,
    VersionSpec,
    qualified,
)
from havre.store.ports import Transaction

ACCOUNT, REGION = "111122223333", "us-east-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/runs"
CONFIG = Configuration(ROLE, Code("zip", "00"), FunctionLogs("/aws/lambda/f"), "python3.11", "app.handler")

Behaviour = Callable[[Function, Invocation], Awaitable[Outcome]]


async def echo(function: Function, invocation: Invocation) -> Outcome:
    return Outcome(invocation.payload, log_tail=b"START\nEND\n" if invocation.tail else b"")


class FakeFunctions:
    """``control.functions.ports.Functions``. ``behaves`` by the function's name; a behaviour may raise."""

    def __init__(self) -> None:
        self.behaves: dict[str, Behaviour] = {}
        self.asked: list[tuple[Function, Invocation]] = []
        self.pieces: list[bytes | str | Outcome | Exception] = []
        self.closed = 0
        self.kept: dict[str, Provisioned] = {}
        self.wanted: dict[str, int] = {}
        self.retired: list[str] = []
        self.running = 0
        self.most = 0

    async def prepare(self, function: Function) -> None:
        return

    async def invoke(self, function: Function, invocation: Invocation) -> Outcome:
        self.asked.append((function, invocation))
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            return await self.behaves.get(function.name, echo)(function, invocation)
        finally:
            self.running -= 1

    async def stream(self, function: Function, invocation: Invocation) -> AsyncIterator[bytes | str | Outcome]:
        self.asked.append((function, invocation))
        try:
            for piece in self.pieces:
                await asyncio.sleep(0)
                if isinstance(piece, Exception):
                    raise piece
                yield piece
        finally:
            self.closed += 1

    async def provision(self, function: Function, count: int) -> None:
        self.wanted[function.id] = count

    def provisioned(self) -> Mapping[str, Provisioned]:
        return self.kept

    async def retire(self, id: str) -> None:
        self.retired.append(id)


def ready(config: Configuration = CONFIG) -> Readiness:
    return Readiness(1, "Active", serving=config)


def make_function(tx: Transaction, name: str = "f", status: Readiness | None = None, **spec: Any) -> None:
    made = FunctionSpec(name, spec.pop("uid", f"uid-{name}"), spec.pop("config", CONFIG), "rev", 0.0, **spec)
    where = {"account": ACCOUNT, "region": REGION, "name": name, "arn": function_arn(ACCOUNT, REGION, name)}
    tx.create(FUNCTION, spec=made, status=ready(made.config) if status is None else status, **where)


def make_version(
    tx: Transaction, number: str, name: str = "f", config: Configuration = CONFIG, status: Readiness | None = None
) -> None:
    spec = VersionSpec(name, f"uid-{name}", number, config, "rev", 0.0)
    key = {"account": ACCOUNT, "region": REGION, "name": qualified(name, number)}
    tx.create(
        VERSION, spec=spec, status=status or ready(config), arn=function_arn(ACCOUNT, REGION, name, number), **key
    )


def make_alias(tx: Transaction, alias: str, version: str, name: str = "f", **weights: float) -> None:
    spec = AliasSpec(name, alias, version, "rev", weights={k.lstrip("v"): v for k, v in weights.items()})
    key = {"account": ACCOUNT, "region": REGION, "name": qualified(name, alias)}
    tx.create(ALIAS, spec=spec, status=NoStatus(), arn=function_arn(ACCOUNT, REGION, name, alias), **key)


def allowing(*statements: str) -> Policy:
    return Policy(tuple(Statement(str(n), text) for n, text in enumerate(statements)), "rev")
