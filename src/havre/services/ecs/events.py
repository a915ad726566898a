"""Service events, in AWS's words."""

from __future__ import annotations

from collections.abc import Sequence

from havre.kernel.arn import arn
from havre.kernel.resource import NoStatus
from havre.kernel.world import World
from havre.services.ecs.resources import EVENTS, Event, Events
from havre.store.ports import Store, Transaction

KEPT = 100


def record(tx: Transaction, world: World, service: tuple[str, str, str], messages: Sequence[str]) -> None:
    """Append messages, each of which begins behind ``(service NAME)``. ``service`` is (account, region, key)."""
    account, region, key = service
    if not messages:
        return
    name, now = key.rsplit("/", 1)[-1], world.now()
    new = tuple(Event(world.uuid(), now, f"(service {name}) {m}") for m in reversed(messages))
    found = tx.get(EVENTS, account, region, key)
    if found is None:
        tx.create(
            EVENTS,
            account=account,
            region=region,
            name=key,
            arn=arn("ecs", region, account, f"service/{key}/events"),
            spec=Events(new[:KEPT]),
            status=NoStatus(),
        )
    else:
        tx.update(found, spec=Events((*new, *found.spec.events)[:KEPT]))


async def tell(store: Store, world: World, service: tuple[str, str, str], *messages: str) -> None:
    await store.transact(lambda tx: record(tx, world, service, messages))
