"""What is under way on one node, on the server's side of its connection."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Any, cast

from havre.control.functions import messages as m
from havre.control.functions.wire import Frames
from havre.kernel.errors import Permanent, Temporary
from havre.kernel.function import Function, Invocation, Outcome, Provisioned

Extended = Callable[[Function, str, float], None]
"""Told of a function, the ARN by which it was invoked, and the milliseconds for which its extensions went on after it."""


class NoRoom(Temporary):
    """The node did not begin it."""


class Call:
    """``message`` is what was asked, to be asked again of a node that did not know the function."""

    __slots__ = ("answer", "function", "message")

    def __init__(self, function: Function, message: m.Invoke | m.Prepare) -> None:
        self.function = function
        self.message = message
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def take(self, message: m.Message) -> None:
        if self.answer.done():
            return
        if type(message) is m.Result:
            self.answer.set_result(message.outcome)
        elif type(message) is m.Prepared:
            self.answer.set_result(None)
        elif type(message) is m.Refused:
            self.answer.set_exception(refusal(message))

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class StreamCall(Call):
    """``arrived`` holds what the caller has not taken yet."""

    __slots__ = ("_more", "arrived")

    def __init__(self, function: Function, message: m.Invoke) -> None:
        super().__init__(function, message)
        self.arrived: deque[m.Message | Exception] = deque()
        self._more = asyncio.Event()

    def take(self, message: m.Message) -> None:
        self.arrived.append(message)
        self._more.set()

    def fail(self, error: Exception) -> None:
        self.arrived.append(error)
        self._more.set()

    async def next(self) -> m.Message:
        """Raises what the call failed with."""
        while not self.arrived:
            self._more.clear()
            await self._more.wait()
        message = self.arrived.popleft()
        if isinstance(message, Exception):
            raise message
        return message


class NodeCalls:
    """``defined``: the functions that the node was told of. ``states``: how far the provisioned ones are."""

    def __init__(self, name: str, frames: Frames, error: str, extended: Extended) -> None:
        self.name = name
        self.frames = frames
        self.error = error
        self.defined: dict[str, Function] = {}
        self.states: dict[str, Provisioned] = {}
        self.waiting: dict[int, Call] = {}
        self._extended = extended
        self._last = 0

    # --- what is asked of the node
    async def invoke(self, function: Function, invocation: Invocation) -> Outcome:
        found: Outcome = await self._run(Call(function, self._message(function, invocation)))
        return found

    async def prepare(self, function: Function) -> None:
        self._last += 1
        await self._run(Call(function, m.Prepare(self._last, function.id)))

    def remind(self, function: Function) -> None:
        """As ``prepare``, and nobody waits for it."""
        self._last += 1
        self._define(function)
        self.frames.send(m.Prepare(self._last, function.id))

    async def stream(self, function: Function, invocation: Invocation) -> AsyncGenerator[bytes | str | Outcome, None]:
        call = StreamCall(function, self._message(function, invocation))
        id = call.message.id
        self._begin(call)
        ended = False
        try:
            while not ended:
                message = await call.next()
                if isinstance(message, m.Piece):
                    yield message.data
                    self.frames.send(m.Window(id, len(message.data)))
                elif isinstance(message, m.Head):
                    yield message.content_type
                elif isinstance(message, m.Result):
                    ended = True
                    yield message.outcome
                elif isinstance(message, m.Refused):
                    ended = True
                    raise refusal(message)
        finally:
            self.waiting.pop(id, None)
            if not ended:
                self.frames.send(m.Cancel(id))

    def provision(self, function: Function, count: int) -> None:
        if count or function.id in self.defined:
            self._define(function)
            self.frames.send(m.Provision(function.id, count))
        if not count:
            self.states.pop(function.id, None)

    def retire(self, id: str) -> None:
        if self.defined.pop(id, None) is not None:
            self.frames.send(m.Retire(id))
        self.states.pop(id, None)

    def _message(self, function: Function, asked: Invocation) -> m.Invoke:
        self._last += 1
        return m.Invoke(self._last, function.id, asked)

    async def _run(self, call: Call) -> Any:
        id = call.message.id
        self._begin(call)
        try:
            return await call.answer
        except asyncio.CancelledError:
            self.frames.send(m.Cancel(id))
            raise
        finally:
            self.waiting.pop(id, None)

    def _begin(self, call: Call) -> None:
        if not self.frames.open:
            raise NoRoom(f"node {self.name} has gone")
        self._define(call.function)
        self.waiting[call.message.id] = call
        self.frames.send(call.message)

    def _define(self, function: Function) -> None:
        if function.id not in self.defined:
            self.defined[function.id] = function
            self.frames.send(m.Define(function))

    # --- what the node says
    def handle(self, message: m.AnyMessage) -> None:
        kind = type(message)
        if kind is m.State:
            state = cast(m.State, message)
            self.states[state.function] = state.provisioned
        elif kind is m.Unknown:
            self._tell_again(cast(m.Unknown, message))
        elif kind is m.Extended:
            self._tell_extended(cast(m.Extended, message))
        elif kind is not m.Ping and (call := self.waiting.get(message.id)) is not None:  # type: ignore[union-attr]
            call.take(message)

    def _tell_extended(self, told: m.Extended) -> None:
        function = self.defined.get(told.function)
        if function is not None:
            self._extended(function, told.arn, told.duration)

    def _tell_again(self, unknown: m.Unknown) -> None:
        call = self.waiting.get(unknown.id)
        self.defined.pop(unknown.function, None)
        if call is not None:
            self._define(call.function)
            self.frames.send(call.message)

    def lost(self) -> None:
        error = Temporary(f"the connection to node {self.name} was lost, and with it the answer")
        for call in tuple(self.waiting.values()):
            call.fail(error)


def refusal(message: m.Refused) -> Exception:
    return NoRoom(message.reason, message.after) if message.after >= 0 else Permanent(message.reason)
