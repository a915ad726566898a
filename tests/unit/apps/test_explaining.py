"""What ``havre explain`` says of things that no reconciler cares for."""

from __future__ import annotations

import asyncio
import time
from random import Random

import pytest

from havre.apps.explaining import asked, plain
from havre.control.operation import Site
from havre.kernel.resource import NoStatus
from havre.kernel.world import World
from havre.services import catalogue
from havre.services.iam.resources import GROUP, Group
from havre.store.memory import MemoryStore
from havre.store.ports import Transaction

SITE = Site(account="000000000000")
HERE = "us-east-1:000000000000"


def _make(tx: Transaction) -> None:
    arn = "arn:aws:iam::000000000000:group/g"
    tx.create(GROUP, account="000000000000", region="", name="g", arn=arn, spec=Group("g", "AGPA"), status=NoStatus())


@pytest.fixture
def store() -> MemoryStore:
    found = MemoryStore(catalogue.kinds(), World(time.time, Random()))
    asyncio.run(found.transact(_make))
    return found


@pytest.mark.parametrize(
    ("arn", "words"),
    [
        ("arn:aws:iam::aws:policy/AdministratorAccess", "of AWS's own"),
        ("arn:aws:iam::000000000000:root", "havre env"),
        (f"arn:aws:events:{HERE}:event-bus/default", "without having been made"),
        (f"arn:aws:dynamodb:{HERE}:table/t", "aws dynamodb"),
        (f"arn:aws:secretsmanager:{HERE}:secret:s-123456", "borrowed"),
        (f"arn:aws:kinesis:{HERE}:stream/s", "borrowed"),
        (f"arn:aws:ssm:{HERE}:parameter/p", "borrowed"),
    ],
)
def test_what_is_there_without_being_in_the_store(store: MemoryStore, arn: str, words: str) -> None:
    (told,) = plain(store, SITE, arn) or [""]
    assert words in told


def test_what_there_is_and_what_there_is_not(store: MemoryStore) -> None:
    assert plain(store, SITE, "arn:aws:iam::000000000000:group/g") == []
    for arn in (
        "arn:aws:iam::000000000000:group/h",
        "arn:aws:iam::aws:policy/NoSuchPolicy",
        "arn:aws:iam::111111111111:root",
        f"arn:aws:events:{HERE}:event-bus/other",
    ):
        assert plain(store, SITE, arn) is None


def test_log_groups_are_asked_for_as_they_are_shown() -> None:
    group = f"arn:aws:logs:{HERE}:log-group:/a"
    assert asked(f"{group}:*") == asked(group) == group
    with pytest.raises(ValueError, match="not an ARN"):
        asked("i-123")
