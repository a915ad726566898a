"""How far a mapping has come in each shard: durable, so that a crash repeats some records and loses none."""

from __future__ import annotations

from typing import Any

import msgspec

from havre.kernel.errors import Conflict, Gone
from havre.kernel.resource import Kind, Resource
from havre.store.ports import Store, Transaction


class CheckpointSpec(msgspec.Struct, frozen=True):
    mapping: str
    shard: str


class CheckpointStatus(msgspec.Struct, frozen=True):
    """``sequence``: the last record that needs no more care ("" before the first). ``finished``: the shard was closed, and
    nothing of it is left. ``window`` is the start of the open tumbling window (-1: none), ``state`` the function's, as
    JSON."""

    sequence: str = ""
    finished: bool = False
    window: float = -1
    state: bytes = b""


CHECKPOINT = Kind(
    "lambda.checkpoint", CheckpointSpec, CheckpointStatus, {"mapping": lambda checkpoint: checkpoint.spec.mapping}
)
KINDS = (CHECKPOINT,)


class Checkpoints:
    """Those of one mapping."""

    def __init__(self, store: Store, account: str, region: str, mapping: str) -> None:
        self._store = store
        self._where = (account, region)
        self._mapping = mapping

    def get(self, shard: str) -> CheckpointStatus:
        found = self._store.get(CHECKPOINT, *self._where, self._name(shard))
        return found.status if found is not None else CheckpointStatus()

    async def put(self, shard: str, status: CheckpointStatus) -> None:
        """Durable when it returns. Raises Temporary."""

        def write(tx: Transaction) -> None:
            seen = tx.get(CHECKPOINT, *self._where, self._name(shard))
            if seen is not None:
                tx.update(seen, status=status)
                return
            account, region = self._where
            arn = f"arn:aws:lambda:{region}:{account}:event-source-mapping:{self._mapping}"
            spec = CheckpointSpec(self._mapping, shard)
            tx.create(
                CHECKPOINT,
                account=account,
                region=region,
                name=self._name(shard),
                arn=arn,
                spec=spec,
                status=status,
            )

        await self._store.transact(write)

    async def forget(self) -> None:
        """All of them: the mapping is gone. Raises Temporary."""

        def write(tx: Transaction) -> None:
            found: list[Resource[Any, Any]] = list(tx.find(CHECKPOINT, "mapping", self._mapping))
            for checkpoint in found:
                tx.remove(checkpoint)

        try:
            await self._store.transact(write)
        except (Conflict, Gone):
            return

    def _name(self, shard: str) -> str:
        return f"{self._mapping}/{shard}"
