"""Where images of functions are pulled from: this installation's registry at its present port, or somebody else's."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from random import Random
from typing import Any

import pytest

from havre.apps.functions import registry_credentials
from havre.control.deps import ReconcilerDeps
from havre.control.images import KINDS, REPOSITORY, RepositorySpec, RepositoryStatus
from havre.control.operation import Aws, Request, Site
from havre.kernel.world import World
from havre.store.memory import MemoryJournal, MemoryStore
from havre.store.ports import Transaction


async def _ecr(service: str, operation: str, request: Request) -> Mapping[str, Any]:
    return {"authorizationData": [{"authorizationToken": base64.b64encode(b"AWS:secret").decode()}]}


def _aws_for(account: str, region: str, service: str, source: str = "", trace: str = "") -> Aws:
    return _ecr


@pytest.mark.parametrize(
    ("image", "server"),
    [
        ("127.0.0.1:4566/team/app:v1", "127.0.0.1:4566"),
        ("127.0.0.1:4000/team/app@sha256:" + "a" * 64, "127.0.0.1:4566"),
        ("127.0.0.1:4000/of/others:v1", ""),
        ("127.0.0.1:4001/team/app:v1", ""),
        ("registry.example.com/team/app:v1", ""),
    ],
)
async def test_credentials_are_for_our_own_registry_alone(image: str, server: str) -> None:
    world = World(time.time, Random(1))
    store, site = MemoryStore(KINDS, world), Site(port=4566, former=frozenset({4000}))

    def make(tx: Transaction) -> None:
        place = {"account": site.account, "region": site.region, "name": "team/app", "arn": ""}
        tx.create(REPOSITORY, spec=RepositorySpec(), status=RepositoryStatus(), **place)

    await store.transact(make)
    deps = ReconcilerDeps(store, MemoryJournal(), world, site, _aws_for)
    expected = {"server": server, "username": "AWS", "password": "secret"} if server else {}
    assert await registry_credentials(deps, image) == expected
