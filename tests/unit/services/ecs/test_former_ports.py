"""The installation's port has changed: images are named by the one of before, in definitions that nobody can change."""

from __future__ import annotations

from typing import Any, cast

import pytest
from tests.simulation.fakes import FakeNodes
from tests.simulation.harness import ACCOUNT, DEFINITION, REGION, Harness

from havre.control import nodes
from havre.control.images import REPOSITORY, RepositorySpec, RepositoryStatus
from havre.control.nodes import WORKLOAD
from havre.control.operation import Site
from havre.store.memory import MemoryStore
from havre.store.ports import Transaction


async def _moved(*repositories: str) -> Harness:
    h = Harness()
    h.site = Site(port=4566, former=frozenset({4000}))
    h.store = MemoryStore((*h.service.kinds, *nodes.KINDS, REPOSITORY), h.world)
    h.nodes = FakeNodes(h.store, h.world)
    h.start()

    def make(tx: Transaction) -> None:
        place = {"account": ACCOUNT, "region": REGION, "arn": ""}
        for name in repositories:
            tx.create(REPOSITORY, name=name, spec=RepositorySpec(), status=RepositoryStatus(), **place)

    await h.store.transact(make)
    return h


@pytest.mark.parametrize(
    ("image", "pulled"),
    [
        ("127.0.0.1:4000/team/app:v1", "127.0.0.1:4566/team/app:v1"),
        ("127.0.0.1:4000/team/app@sha256:" + "a" * 64, "127.0.0.1:4566/team/app@sha256:" + "a" * 64),
        ("127.0.0.1:4566/team/app:v1", "127.0.0.1:4566/team/app:v1"),
        ("127.0.0.1:4001/team/app:v1", "127.0.0.1:4001/team/app:v1"),
        ("127.0.0.1:4000/of/others:v1", "127.0.0.1:4000/of/others:v1"),
    ],
)
async def test_they_are_pulled_from_where_it_answers_now(image: str, pulled: str) -> None:
    h, definition = await _moved("team/app"), cast(Any, DEFINITION)
    await h.ready(
        {"family": "own", "containerDefinitions": [{**definition["containerDefinitions"][0], "image": image}]}
    )
    await h.call("RunTask", taskDefinition="own")
    await h.settle()
    (container,) = h.store.list(WORKLOAD)[0].spec.workload.containers
    assert container.image == pulled
    assert container.registry is not None and container.registry.server == pulled.partition("/")[0]
    assert (await h.tasks())[0]["containers"][0]["image"] == image
