"""Answers that come in pieces."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.unit.control.functions.harness import ARN, CLIENT, Ground, ground

from havre.control.functions.api import Exchange
from havre.control.functions.messages import WINDOW, Invoke
from havre.control.functions.streams import StreamSink
from havre.control.functions.ticket import Ticket
from havre.kernel.function import Function, Invocation, Outcome


def asked(event: object) -> Invocation:
    return Invocation("r-1", ARN, json.dumps(event).encode(), streaming=True)


def streaming(g: Ground, code: str) -> Function:
    return g.function(code, runtime="provided", entry_point=CLIENT, timeout=60)


async def test_pieces_come_as_they_are_written(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        code = """
            import os, time
            def handler(event):
                yield b"one"
                while not os.path.exists(event["go"]):
                    time.sleep(0.005)
                yield b"two"
        """
        pieces = g.hub.stream(streaming(g, code), asked({"go": str(tmp_path / "go")}))
        assert await anext(pieces) == "text/event-stream"
        assert await anext(pieces) == b"one"
        (tmp_path / "go").touch()
        rest = [piece async for piece in pieces]
        assert b"".join(p for p in rest if isinstance(p, bytes)) == b"two"
        assert isinstance(rest[-1], Outcome) and rest[-1].error == "" and rest[-1].payload == b""


async def test_a_caller_that_takes_its_time_holds_the_function_up(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        code = """
            def handler(event):
                for n in range(400):
                    open(event["count"], "w").write(str(n))
                    yield b"x" * 65536
        """
        count = tmp_path / "count"
        pieces = g.hub.stream(streaming(g, code), asked({"count": str(count)}))
        assert await anext(pieces) == "text/event-stream"
        taken = len(await anext(pieces))
        before, steady = "", 0
        while steady < 20:
            await asyncio.sleep(0.01)
            now = count.read_text()
            before, steady = now, steady + 1 if now == before and now else 0
        assert int(before) * 65536 < 12 * WINDOW, "what sockets hold, and the window"
        async for piece in pieces:
            taken += len(piece) if isinstance(piece, bytes) else 0
        assert taken == 400 * 65536


class Connection:
    """Of a runtime, by what is asked of it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def header(self, name: bytes) -> str:
        return ""

    def pause(self) -> None:
        self.asked.append("pause")

    def resume(self) -> None:
        self.asked.append("resume")

    def answer(self, status: int, body: bytes = b"", headers: bytes = b"") -> None:
        self.asked.append("answer")


@pytest.mark.parametrize("whole", [True, False])
def test_what_the_caller_has_not_taken_at_the_end_does_not_hold_the_next_answer_up(whole: bool) -> None:
    """The last pieces came at once, and after them the connection is kept for what comes next."""
    frames: Any = SimpleNamespace(send=lambda message: None)
    ticket, connection = Ticket(Invoke(1, "f", asked(None)), frames, "f"), Connection()
    exchange = cast(Exchange, connection)
    sink = StreamSink(ticket, exchange, lambda *_: None)
    sink.piece(b"x" * (2 * WINDOW))
    assert connection.asked == ["pause"]
    sink.end(exchange, whole=whole)
    assert connection.asked == ["pause", "resume", "answer"]
    ticket.taken(2 * WINDOW)
    assert connection.asked == ["pause", "resume", "answer"]


async def test_an_error_in_the_middle(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        code = """
            from client import Trailing
            def handler(event):
                yield b"so far"
                raise Trailing("no further")
        """
        found = [piece async for piece in g.hub.stream(streaming(g, code), asked(None))]
        assert found[1] == b"so far"
        assert isinstance(found[-1], Outcome) and found[-1].error == "Unhandled"
        assert json.loads(found[-1].payload) == {"errorType": "Trailing", "errorMessage": "no further"}


async def test_a_function_that_dies_in_the_middle(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        code = """
            import os, time
            def handler(event):
                yield b"so far"
                while not os.path.exists(event):
                    time.sleep(0.005)
                os._exit(1)
        """
        pieces = g.hub.stream(streaming(g, code), asked(str(tmp_path / "go")))
        assert [await anext(pieces), await anext(pieces)] == ["text/event-stream", b"so far"]
        (tmp_path / "go").touch()
        last = [piece async for piece in pieces][-1]
        assert isinstance(last, Outcome)
        assert last.error in ("Runtime.ExitError", "Runtime.TruncatedResponse")


@pytest.mark.parametrize("streamed", [True, False])
async def test_who_wants_it_whole_gets_it_whole_and_the_other_way_round(tmp_path: Path, streamed: bool) -> None:
    async with ground(tmp_path) as g:
        if streamed:
            function = g.function("def handler(event, context):\n    return [1]")
            found = [piece async for piece in g.hub.stream(function, asked(None))]
            assert found[:2] == ["application/json", b"[1]"] and found[-1].payload == b""
        else:
            function = streaming(g, "def handler(event):\n    yield b'a'\n    yield b'b'")
            whole = await g.invoke(function)
            assert (whole.payload, whole.content_type, whole.error) == (b"ab", "text/event-stream", "")


async def test_a_caller_who_goes_leaves_the_function_to_its_end(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        code = f"""
            def handler(event):
                for n in range(100):
                    yield b"x" * 65536
                open({str(tmp_path / "ended")!r}, "w").close()
        """
        pieces = g.hub.stream(streaming(g, code), asked(None))
        await anext(pieces)
        await anext(pieces)
        await pieces.aclose()
        while not (tmp_path / "ended").exists():
            await asyncio.sleep(0.01)
        assert not g.plane._tickets
