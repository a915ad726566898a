"""The link of invocations between server and node: who is let in, what is no message."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from havre.control.functions import messages as m
from havre.control.functions.hub import FunctionHub
from havre.control.functions.wire import Frames
from havre.kernel.errors import Permanent
from havre.kernel.function import Code, Function, FunctionLogs, Invocation, Outcome

FUNCTION = Function("f", "arn", "0" * 12, "r", "f", "1", Code("zip"), "", FunctionLogs("/g"))


class Node:
    """A node of few words."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[m.AnyMessage | None] = asyncio.Queue()
        self.frames = Frames(self.heard.put_nowait, lambda: self.heard.put_nowait(None))

    async def next(self, kind: type[m.Message]) -> m.AnyMessage:
        while not isinstance(message := await self.heard.get(), kind):
            assert message is not None, "the connection has ended"
        return message


async def dial(path: Path, hello: m.Hello | None = None) -> Node:
    node = Node()
    while True:
        try:
            await asyncio.get_running_loop().create_unix_connection(lambda: node.frames, str(path))
            break
        except OSError:
            await asyncio.sleep(0.005)
    if hello is not None:
        node.frames.send(hello)
    return node


@pytest.fixture
async def hub(tmp_path: Path):  # type: ignore[no-untyped-def]
    made = FunctionHub(lambda: "word")
    serving = asyncio.get_running_loop().create_task(made.serve(tmp_path / "s"))
    yield made
    serving.cancel()
    await asyncio.wait([serving])


async def test_the_socket_is_for_its_owner_alone(tmp_path: Path, hub: FunctionHub) -> None:
    await dial(tmp_path / "s")
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "hello",
    [m.Hello("n", "another word", m.VERSION), m.Hello("n", "word", m.VERSION + 1), m.Ping()],
    ids=["token", "version", "no hello"],
)
async def test_who_is_not_let_in(tmp_path: Path, hub: FunctionHub, hello: m.Hello) -> None:
    node = await dial(tmp_path / "s", hello)
    assert await node.heard.get() is None and not hub.nodes


async def test_what_is_no_message_ends_the_connection(tmp_path: Path, hub: FunctionHub) -> None:
    node = await dial(tmp_path / "s")
    node.frames._transport.write(b"\xff\xff\xff\xffnonsense")
    assert await node.heard.get() is None


async def test_a_node_that_cannot_run_functions_says_why(tmp_path: Path, hub: FunctionHub) -> None:
    node = await dial(tmp_path / "s", m.Hello("n", "word", m.VERSION, "functions need root"))
    await node.next(m.Welcome)
    with pytest.raises(Permanent, match="functions need root"):
        await hub.invoke(FUNCTION, Invocation("r", "arn"))


async def test_a_newer_connection_ends_the_older(tmp_path: Path, hub: FunctionHub) -> None:
    older = await dial(tmp_path / "s", m.Hello("n", "word", m.VERSION))
    await older.next(m.Welcome)
    await (await dial(tmp_path / "s", m.Hello("n", "word", m.VERSION))).next(m.Welcome)
    while await older.heard.get() is not None:
        pass
    assert hub.nodes == ("n",)


async def test_the_next_node_takes_what_one_has_no_room_for(tmp_path: Path, hub: FunctionHub) -> None:
    full, free = [await dial(tmp_path / "s", m.Hello(name, "word", m.VERSION)) for name in ("a", "b")]
    for node in (full, free):
        await node.next(m.Welcome)
    call = asyncio.get_running_loop().create_task(hub.invoke(FUNCTION, Invocation("r", "arn", b"{}")))
    asked = await full.next(m.Invoke)
    full.frames.send(m.Refused(asked.id, "no memory", 1.0))  # type: ignore[union-attr]
    again = await free.next(m.Invoke)
    assert again.invocation.payload == b"{}"  # type: ignore[union-attr]
    free.frames.send(m.Result(again.id, Outcome(b"1")))  # type: ignore[union-attr]
    assert (await call).payload == b"1"


async def test_a_node_that_comes_back_takes_snapshots_again(tmp_path: Path, hub: FunctionHub) -> None:
    function = replace(FUNCTION, snap_start=True)
    first = await dial(tmp_path / "s", m.Hello("n", "word", m.VERSION))
    await first.next(m.Welcome)
    for each in (function, replace(FUNCTION, id="plain"), replace(function, id="retired")):
        call = asyncio.get_running_loop().create_task(hub.prepare(each))
        asked = await first.next(m.Prepare)
        first.frames.send(m.Prepared(asked.id))  # type: ignore[union-attr]
        await call
    await hub.retire("retired")
    first.frames.close()
    again = await dial(tmp_path / "s", m.Hello("n", "word", m.VERSION))
    await again.next(m.Welcome)
    assert (await again.next(m.Define)).function == function  # type: ignore[union-attr]
    asked = await again.next(m.Prepare)
    assert asked.function == "f"  # type: ignore[union-attr]
    again.frames.send(m.Refused(asked.id, "it fails now", -1.0))  # type: ignore[union-attr]
    call = asyncio.get_running_loop().create_task(hub.invoke(function, Invocation("r", "arn")))
    while not isinstance(message := await again.heard.get(), m.Invoke):
        assert not isinstance(message, m.Prepare | None), "nothing else was to be prepared"
    again.frames.send(m.Result(message.id, Outcome(b"1")))
    assert (await call).payload == b"1"


async def test_provisioned_ones_are_spread(tmp_path: Path, hub: FunctionHub) -> None:
    nodes = [await dial(tmp_path / "s", m.Hello(name, "word", m.VERSION)) for name in ("a", "b")]
    for node in nodes:
        await node.next(m.Welcome)
    await hub.provision(FUNCTION, 3)
    counts = [(await node.next(m.Provision)).count for node in nodes]  # type: ignore[union-attr]
    assert counts == [2, 1]
