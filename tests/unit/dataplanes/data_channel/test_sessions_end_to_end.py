"""From a client's WebSocket to an engine's terminal and back, over real sockets; the engine is a fake."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.session_client import SessionClient
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from havre.apps.http.listeners import Listeners
from havre.control.terminals.hub import TerminalHub
from havre.control.terminals.messages import Hello, Question, Wire
from havre.control.terminals.node import Terminals
from havre.control.terminals.sessions import Session, Sessions
from havre.dataplanes.data_channel import PATH, DataChannels
from havre.engines.fake import FakeContainers
from havre.engines.ports import Image
from havre.kernel.errors import Gone
from havre.kernel.workload import Container, Workload
from havre.kernel.world import World

CONTAINER = Container("main", "image")
WORKLOAD = Workload("task", "arn:task", "0" * 12, "us-east-1", (CONTAINER,))


class Transcripts:
    def of(self, session: Session) -> None:
        return None


class World_:
    """A server with a node, and a container that runs on it."""

    def __init__(self, place: Path) -> None:
        self.world = World(time.time, Random(1))
        self.place = place / "terminals.sock"
        self.engine = FakeContainers(self.world)
        self.terminals = Terminals(self.engine, self.place, lambda: "word")
        self.hub = TerminalHub(self._ask, lambda: "word")
        self.sessions = Sessions()
        channels = DataChannels(self.sessions, self.hub, Transcripts(), self.world)  # type: ignore[arg-type]
        self.listeners = Listeners(channels)
        self.id = ""
        self.port = 0

    async def _ask(self, node: str, what: str, question: Any) -> Any:
        import msgspec

        if node != "node":
            raise Gone(f"no node {node}")
        return await self.terminals.open(self.id, msgspec.convert(question, Question))

    async def start(self) -> None:
        made = await self.engine.create(WORKLOAD, CONTAINER, Image("image"), None)
        self.id = (await self.engine.start(made.id)).id
        await self.listeners.open("127.0.0.1", 0)
        self.port = next(iter(self.listeners._servers.values())).sockets[0].getsockname()[1]

    def session(self, id: str = "s-1") -> dict[str, str]:
        made = Session(id, "0" * 12, "us-east-1", "node", "task", "main", "ecs:c_t_r", ("sh", "-l"))
        token = self.sessions.add(made, time.time())
        url = f"ws://127.0.0.1:{self.port}{PATH}{id}?role=publish_subscribe"
        return {"sessionId": id, "streamUrl": url, "tokenValue": token}

    async def client(self, **more: Any) -> SessionClient:
        return await asyncio.to_thread(lambda: SessionClient(self.session(), **more))


@pytest.fixture
async def there(tmp_path: Path) -> AsyncIterator[World_]:
    made = World_(tmp_path)
    await made.start()
    serving = asyncio.ensure_future(made.hub.serve(made.place))
    while not made.place.exists():
        await asyncio.sleep(0.01)
    yield made
    await made.listeners.close(1)
    await made.terminals.close()
    serving.cancel()
    await asyncio.wait([serving])


@pytest.mark.parametrize("handshake", [True, False])
async def test_type_read_resize_and_exit(there: World_, handshake: bool) -> None:
    client = await there.client(handshake=handshake, size=(100, 40))

    def talk() -> str:
        client.type("echo hello\r")
        client.until("hello\r\nhello\r\n")
        client.type("stty size\r")
        client.until("40 100\r\n")
        client.resize(80, 24)
        client.type("stty size\r")
        client.until("24 80\r\n")
        client.type("exit 3\r")
        return client.end()

    assert await asyncio.to_thread(talk) == ""
    command, terminal = there.engine.terminals[0]
    assert command == ("sh", "-l") and await terminal.ended() == 3
    assert there.sessions.count("task", "main", time.time()) == 0


async def test_a_client_that_goes_away_hangs_up(there: World_) -> None:
    client = await there.client()
    await asyncio.to_thread(client.until, "$ ")
    await asyncio.to_thread(client.close)
    async with asyncio.timeout(30):
        assert await there.engine.terminals[0][1].ended() == 129


async def test_a_session_ends_with_its_container(there: World_) -> None:
    client = await there.client()
    await asyncio.to_thread(client.until, "$ ")
    there.engine.kill(there.id)
    assert await asyncio.to_thread(client.end) == ""


async def test_a_container_that_does_not_run_is_told_of(there: World_) -> None:
    there.engine.kill(there.id)
    client = await there.client()
    assert "is not running" in await asyncio.to_thread(client.end)


async def test_a_server_that_ends_takes_its_sessions_along(there: World_) -> None:
    client = await there.client()
    await asyncio.to_thread(client.until, "$ ")
    await there.listeners.close(1)
    async with asyncio.timeout(30):
        assert await there.engine.terminals[0][1].ended() == 129


async def test_a_node_that_ends_takes_its_sessions_along(there: World_) -> None:
    client = await there.client()
    await asyncio.to_thread(client.until, "$ ")
    await there.terminals.close()
    assert "node" in await asyncio.to_thread(client.end)


def _refused(session: dict[str, str], first: str | bytes) -> int:
    with connect(session["streamUrl"]) as socket:
        socket.send(first)
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(60)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code


@pytest.mark.parametrize(
    "first",
    ['{"TokenValue":"another"}', "{}", "nonsense", b"\0" * 120, '{"TokenValue":12}', '{"TokenValue":"\\ud800"}'],
)
async def test_without_the_token_nothing_runs(there: World_, first: str | bytes) -> None:
    assert await asyncio.to_thread(_refused, there.session(), first) == 1008
    assert there.engine.terminals == []


async def test_a_token_is_used_once(there: World_) -> None:
    session = there.session()
    client = await asyncio.to_thread(SessionClient, session)
    await asyncio.to_thread(client.until, "$ ")
    again = f'{{"TokenValue":"{session["tokenValue"]}"}}'
    assert await asyncio.to_thread(_refused, session, again) == 1008
    assert len(there.engine.terminals) == 1
    await asyncio.to_thread(client.close)


async def test_who_is_no_node_is_not_let_in(there: World_) -> None:
    for hello in (Hello("s-1", "another"), Hello("s-1", "word")):
        reader, writer = await asyncio.open_unix_connection(str(there.place))
        await Wire(reader, writer).send(hello)
        async with asyncio.timeout(30):
            assert await reader.read() == b""
        writer.close()


async def test_sockets_are_for_root_alone(there: World_) -> None:
    assert there.place.stat().st_mode & 0o777 == 0o600


async def test_what_is_no_websocket_is_refused(there: World_) -> None:
    def ask() -> None:
        with pytest.raises(InvalidStatus) as refused:
            connect(f"ws://127.0.0.1:{there.port}/", additional_headers={"Sec-WebSocket-Version": "7"})
        assert refused.value.response.status_code in (400, 426)

    await asyncio.to_thread(ask)
