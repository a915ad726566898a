"""Questions and answers over a link, in both directions, side by side."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from havre.control.nodelink.messages import AnyMessage, Ask, Reply
from havre.control.tasks import Tasks
from havre.kernel.errors import Gone, Permanent, Temporary

log = logging.getLogger("havre.nodelink")

_MAX_PENDING = 1000


class Asking:
    """``send`` puts a message on the link; ``answer`` gives the answer to the other side's questions."""

    def __init__(self, send: Callable[[AnyMessage], None], answer: Callable[[str, Any], Awaitable[Any]]) -> None:
        self._send = send
        self._answer = answer
        self._next = 0
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._tasks = Tasks()

    async def ask(self, what: str, question: Any, timeout: float) -> Any:
        """Raises Temporary when there is no answer in time, Permanent in the other side's words."""
        if len(self._waiting) >= _MAX_PENDING:
            raise Temporary("too many questions wait for an answer")
        self._next += 1
        id, answer = self._next, asyncio.get_running_loop().create_future()
        self._waiting[id] = answer
        try:
            self._send(Ask(id, what, msgspec.msgpack.encode(question)))
            async with asyncio.timeout(timeout):
                return await answer
        except TimeoutError:
            raise Temporary(f"no answer to {what} within {timeout:g} s") from None
        finally:
            self._waiting.pop(id, None)

    def replied(self, reply: Reply) -> None:
        answer = self._waiting.get(reply.id)
        if answer is None or answer.done():
            return
        if reply.error:
            answer.set_exception(Permanent(reply.error))
        else:
            answer.set_result(msgspec.msgpack.decode(reply.body))

    def asked(self, question: Ask) -> None:
        self._tasks.spawn(self._reply(question), f"answer {question.what}")

    async def _reply(self, question: Ask) -> None:
        try:
            found = await self._answer(question.what, msgspec.msgpack.decode(question.body))
            self._send(Reply(question.id, msgspec.msgpack.encode(found)))
        except (Temporary, Permanent, Gone) as e:
            self._send(Reply(question.id, error=str(e) or "there is no answer"))
        except Exception as e:
            log.exception("no answer to %s", question.what)
            self._send(Reply(question.id, error=f"an error of Havre's: {type(e).__name__}"))

    async def close(self) -> None:
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(Temporary("the link was lost"))
        await self._tasks.close(1.0)
