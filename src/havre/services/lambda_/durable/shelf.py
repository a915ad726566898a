"""Executions on disk: one record each, and a shelf of their own for operations and history."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from havre.core.durable.model import Event, Execution, Fault, Op
from havre.store.durably import durably
from havre.store.ports import Clear, Put, Records, Take

LISTS, STATES = "durable/", "durable-state/"
HISTORY = 1 << 20
"""Records behind this number are history, those before it operations."""
LOADED = 1000


class Data(msgspec.Struct, frozen=True, array_like=True):
    """What an execution was given, and what came of it."""

    payload: str
    result: str | None = None
    fault: Fault | None = None


_encode = msgspec.msgpack.Encoder().encode
_execution = msgspec.msgpack.Decoder(Execution).decode
_data = msgspec.msgpack.Decoder(Data).decode
_op = msgspec.msgpack.Decoder(Op).decode
_event = msgspec.msgpack.Decoder(Event).decode


def _list(account: str, region: str) -> str:
    return f"{LISTS}{account}/{region}"


class Shelf:
    def __init__(self, records: Records) -> None:
        self._records = records

    def number(self, account: str, region: str) -> int:
        return self._records.number(_list(account, region))

    def executions(self) -> Iterable[Execution]:
        for shelf in self._records.shelves(LISTS):
            last = 0
            while heads := self._records.heads(shelf, last, LOADED):
                yield from (_execution(head) for _, head in heads)
                last = heads[-1][0]

    def data(self, execution: Execution) -> Data:
        (body,) = self._records.bodies(_list(execution.account, execution.region), [execution.number])
        return _data(body) if body is not None else Data("")

    def ops(self, uid: str) -> dict[str, Op]:
        shelf, last, found = STATES + uid, 0, []
        while heads := self._records.heads(shelf, last, LOADED):
            numbers = [number for number, _ in heads if number < HISTORY]
            found += [_op(body) for body in self._records.bodies(shelf, numbers) if body is not None]
            last = heads[-1][0]
            if last >= HISTORY:
                break
        return {op.id: op for op in found}

    def history(self, execution: Execution, after: int, limit: int, backwards: bool) -> Sequence[Event]:
        """Behind event ``after`` (before it when ``backwards``; 0: from the end that comes first)."""
        if backwards:
            last = (after or execution.events + 1) - 1
            numbers = range(last, max(0, last - limit), -1)
        else:
            numbers = range(after + 1, min(execution.events, after + limit) + 1)
        bodies = self._records.bodies(STATES + execution.uid, [HISTORY + n for n in numbers])
        return [_event(body) for body in bodies if body is not None]

    async def save(
        self,
        execution: Execution,
        data: Data,
        ops: Iterable[Op] = (),
        events: Iterable[Event] = (),
        besides: Iterable[Put] = (),
    ) -> None:
        """All or nothing, records of others ``besides``; durable when it returns. Raises Temporary."""
        state = STATES + execution.uid
        changes = [Put(_list(execution.account, execution.region), execution.number, _encode(execution), _encode(data))]
        changes += [Put(state, 1 + op.number, b"", _encode(op)) for op in ops]
        changes += besides
        changes += [Put(state, HISTORY + event.number, b"", _encode(event)) for event in events]
        await durably(self._records, changes)

    async def remove(self, execution: Execution) -> None:
        where = _list(execution.account, execution.region)
        await durably(self._records, [Take(where, execution.number), Clear(STATES + execution.uid)])
