"""A lease in the store: of several servers, one at a time does a thing.

Times are compared between machines, so a holder stops believing in its lease ``margin`` seconds before others may take it.
"""

from __future__ import annotations

import msgspec

from havre.kernel.errors import Conflict
from havre.kernel.resource import Kind, NoStatus
from havre.kernel.world import World
from havre.store.ports import Store, Transaction


class LeaseSpec(msgspec.Struct, frozen=True):
    """``expires`` in seconds since the epoch; ``term`` counts the changes of holder: a fence for what holders do."""

    holder: str
    expires: float
    term: int = 1


LEASE: Kind[LeaseSpec, NoStatus] = Kind("control.lease", LeaseSpec, NoStatus)


class Lease:
    """One name that at most one holder has at a time. ``duration`` and ``margin`` in seconds."""

    def __init__(
        self, store: Store, world: World, name: str, holder: str, *, duration: float = 15.0, margin: float = 2.0
    ) -> None:
        self._store = store
        self._world = world
        self._name = name
        self._holder = holder
        self._duration = duration
        self._margin = margin
        self._until = 0.0
        self.term = 0

    @property
    def held(self) -> bool:
        """Whether it is safe to act as the holder now."""
        return self._world.now() < self._until - self._margin

    async def acquire(self) -> bool:
        """Take it, or prolong it if it is ours; False while somebody else has it."""
        now = self._world.now()
        wanted = now + self._duration

        def change(transaction: Transaction) -> int | None:
            seen = transaction.get(LEASE, "", "", self._name)
            if seen is None:
                spec = LeaseSpec(self._holder, wanted)
                transaction.create(
                    LEASE,
                    account="",
                    region="",
                    name=self._name,
                    arn=f"lease/{self._name}",
                    spec=spec,
                    status=NoStatus(),
                )
                return 1
            if seen.spec.holder != self._holder and seen.spec.expires > now:
                return None
            term = seen.spec.term + (seen.spec.holder != self._holder)
            transaction.update(seen, spec=LeaseSpec(self._holder, wanted, term))
            return term

        try:
            term = await self._store.transact(change)
        except Conflict:
            return False
        if term is None:
            self._until = 0.0
            return False
        self.term, self._until = term, wanted
        return True

    async def release(self) -> None:
        """Let somebody else have it at once. Releasing what is not ours does nothing."""
        self._until = 0.0

        def change(transaction: Transaction) -> None:
            seen = transaction.get(LEASE, "", "", self._name)
            if seen is not None and seen.spec.holder == self._holder:
                transaction.update(seen, spec=LeaseSpec(self._holder, 0.0, seen.spec.term))

        await self._store.transact(change)
