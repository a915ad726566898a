"""A session by its messages, in virtual time: what both sides owe each other when one of them is slow, silent or gone."""

from __future__ import annotations

import asyncio
import json
from random import Random
from typing import Any

import pytest

from havre.control.terminals.messages import Ended, Input, Output, Question, Resize
from havre.control.terminals.sessions import Session
from havre.core.data_channel import messages as m
from havre.core.data_channel.reliable import WINDOW
from havre.dataplanes.data_channel.conversation import IDLE, TIMED_OUT, Conversation
from havre.kernel.errors import Permanent, Temporary
from havre.kernel.world import World

pytestmark = pytest.mark.looptime
SESSION = Session("s-1", "0" * 12, "us-east-1", "node", "task", "main", "ecs:c_t_r", ("sh", "-l"))


class Wire:
    """The node's end, by hand."""

    def __init__(self) -> None:
        self.to_server: asyncio.Queue[Any] = asyncio.Queue()
        self.got: list[Any] = []
        self.takes = asyncio.Event()
        self.takes.set()
        self.ended = False

    async def receive(self) -> Any:
        return await self.to_server.get()

    async def send(self, message: Any) -> None:
        await self.takes.wait()
        if self.ended:
            raise Temporary("gone")
        self.got.append(message)


class Hub:
    def __init__(self) -> None:
        self.wire = Wire()
        self.asked: list[tuple[str, Question]] = []
        self.fails: Exception | None = None

    async def run(self, node: str, asked: Question) -> Wire:
        self.asked.append((node, asked))
        if self.fails is not None:
            raise self.fails
        return self.wire

    def end(self, wire: Wire) -> None:
        wire.ended = True


class Client:
    """``acknowledges`` False: what comes is not acknowledged."""

    def __init__(self) -> None:
        self.hub = Hub()
        self.to_server: asyncio.Queue[Any] = asyncio.Queue()
        self.sent: list[m.Message] = []
        self.acknowledges = True
        self.code: int | None = None
        self.number = 0
        world = World(lambda: 1_800_000_000.0, Random(1))
        self.conversation = Conversation(SESSION, self.to_server.get, self._send, world)
        self.overs = 0
        self.running = asyncio.ensure_future(self.conversation.run(self.hub, None, self._over))

    def _over(self) -> None:
        assert self.closed == []
        self.overs += 1

    async def _send(self, message: Any) -> None:
        if message["type"] == "websocket.close":
            self.code = message["code"]
            return
        got = m.unpack(message["bytes"])
        self.sent.append(got)
        if self.acknowledges and got.kind == m.OUTPUT:
            self.acknowledge(got)

    def acknowledge(self, message: m.Message) -> None:
        told = {
            "AcknowledgedMessageType": message.kind,
            "AcknowledgedMessageId": m.uuid_text(message.id),
            "AcknowledgedMessageSequenceNumber": message.number,
            "IsSequentialMessage": True,
        }
        self._put(m.Message(m.ACKNOWLEDGE, 0, json.dumps(told).encode()))

    def _put(self, message: m.Message) -> None:
        self.to_server.put_nowait({"type": "websocket.receive", "bytes": m.pack(message)})

    def send(self, payload_type: int, payload: bytes, number: int | None = None) -> None:
        if number is None:
            number, self.number = self.number, self.number + 1
        self._put(m.Message(m.INPUT, number, payload, payload_type))

    def hang_up(self) -> None:
        self.to_server.put_nowait({"type": "websocket.disconnect", "code": 1006})

    async def begun(self, size: bytes = b'{"cols":80,"rows":24}') -> Wire:
        """As a client of today begins."""
        self.send(m.HANDSHAKE_RESPONSE, b"{}")
        self.send(m.SIZE, size)
        await asyncio.sleep(0.2)
        return self.hub.wire

    def told(self, kind: int) -> list[m.Message]:
        return [s for s in self.sent if s.kind == m.OUTPUT and s.payload_type == kind]

    @property
    def shown(self) -> bytes:
        found = {s.number: s.payload for s in self.told(m.DATA)}
        return b"".join(found[n] for n in sorted(found))

    @property
    def acknowledged(self) -> list[int]:
        found = [m.read_acknowledged(s.payload) for s in self.sent if s.kind == m.ACKNOWLEDGE]
        return [n for n in found if n is not None]

    @property
    def closed(self) -> Any:
        return [json.loads(s.payload) for s in self.sent if s.kind == m.CLOSED]


async def test_a_session_from_its_handshake_to_its_end():
    client = Client()
    wire = await client.begun()
    request = json.loads(client.told(m.HANDSHAKE_REQUEST)[0].payload)
    assert request["RequestedClientActions"][0]["ActionParameters"]["SessionType"] == "InteractiveCommands"
    assert len(client.told(m.HANDSHAKE_COMPLETE)) == 1
    assert client.hub.asked == [("node", Question("s-1", "task", "main", ("sh", "-l"), 80, 24))]
    client.send(m.DATA, b"ls\r")
    client.send(m.SIZE, b'{"cols":100,"rows":30}')
    client.send(m.SIZE, b'{"cols":100,"rows":30}')
    wire.to_server.put_nowait(Output("$ lsé".encode()))
    await asyncio.sleep(0.2)
    assert wire.got == [Input(b"ls\r"), Resize(100, 30)]
    assert client.shown == "$ lsé".encode()
    assert client.acknowledged == [0, 1, 2, 3, 4]
    wire.to_server.put_nowait(Ended(0))
    await client.running
    assert [(c["SessionId"], c["Output"], c["DestinationId"]) for c in client.closed] == [("s-1", "", "ecs:c_t_r")]
    assert client.code == 1000 and wire.ended and client.overs == 1


async def test_a_client_that_knows_no_handshake_begins_at_once():
    client = Client()
    client.send(m.SIZE, b'{"cols":120,"rows":40}')
    await asyncio.sleep(0.05)
    assert client.hub.asked[0][1].columns == 120
    assert client.told(m.HANDSHAKE_COMPLETE) == []
    client.hang_up()
    await client.running


async def test_a_client_that_says_nothing_gets_its_command_all_the_same():
    client = Client()
    await asyncio.sleep(4)
    assert (client.hub.asked[0][1].columns, client.hub.asked[0][1].rows) == (300, 60)
    client.hang_up()
    await client.running


async def test_what_is_typed_before_the_command_is_there_is_not_lost():
    client = Client()
    client.send(m.HANDSHAKE_RESPONSE, b"{}")
    client.send(m.DATA, b"early\r")
    await asyncio.sleep(3)
    assert client.hub.wire.got == [Input(b"early\r")]
    client.hang_up()
    await client.running


async def test_input_arrives_in_order_and_once():
    client = Client()
    wire = await client.begun()
    for number in (3, 2, 3, 4, 2, 0):
        client.send(m.DATA, b"%d" % number, number)
    await asyncio.sleep(0.1)
    assert wire.got == [Input(b"2"), Input(b"3"), Input(b"4")]
    client.hang_up()
    await client.running


async def test_a_command_that_does_not_read_holds_up_its_client_and_nothing_else():
    client = Client()
    wire = await client.begun()
    wire.takes.clear()
    for _ in range(300):
        client.send(m.DATA, b"x" * 1024)
    wire.to_server.put_nowait(Output(b"still here"))
    await asyncio.sleep(0.2)
    refused = set(range(client.number)) - set(client.acknowledged)
    assert client.shown == b"still here"
    assert 0 < len(refused) < 100
    wire.takes.set()
    await asyncio.sleep(0.1)
    for number in sorted(refused):  # a client sends again what was not acknowledged
        client.send(m.DATA, b"x" * 1024, number)
    await asyncio.sleep(0.1)
    assert sum(len(i.data) for i in wire.got) == 300 * 1024
    client.hang_up()
    await client.running


async def test_output_waits_for_a_client_that_takes_none():
    client = Client()
    wire = await client.begun()
    client.acknowledges = False
    for _ in range(20):
        wire.to_server.put_nowait(Output(b"y" * 64_000))
    await asyncio.sleep(30)
    assert len({s.number for s in client.told(m.DATA)}) == WINDOW
    assert wire.to_server.qsize() > 10
    client.acknowledges = True
    for message in client.told(m.DATA):
        client.acknowledge(message)
    await asyncio.sleep(1)
    assert client.shown == b"y" * 20 * 64_000
    client.hang_up()
    await client.running


async def test_what_was_not_acknowledged_is_sent_again_before_the_end():
    """A client whose screen is not there yet says nothing to what comes."""
    client = Client()
    wire = await client.begun()
    client.acknowledges = False
    wire.to_server.put_nowait(Output(b"hello"))
    wire.to_server.put_nowait(Ended(0))
    await asyncio.sleep(1)
    assert len(client.told(m.DATA)) > 1 and client.closed == []
    client.acknowledge(client.told(m.DATA)[0])
    await client.running
    assert client.sent[-1].kind == m.CLOSED


async def test_a_character_is_not_cut_in_two():
    client = Client()
    wire = await client.begun()
    euro = "€".encode()
    wire.to_server.put_nowait(Output(b"a" + euro[:1]))
    wire.to_server.put_nowait(Output(euro[1:] + b"b" * 1023 + euro))
    wire.to_server.put_nowait(Output(euro[:2]))
    await asyncio.sleep(0.1)
    assert all(s.payload.decode() for s in client.told(m.DATA))
    wire.to_server.put_nowait(Ended(0))
    await client.running
    assert client.shown == b"a" + euro + b"b" * 1023 + euro + euro[:2]


async def test_who_does_nothing_for_twenty_minutes_is_told_that_it_is_over():
    client = Client()
    wire = await client.begun()
    await asyncio.sleep(IDLE - 10)
    client.send(m.DATA, b"x")
    await asyncio.sleep(IDLE - 10)
    assert not client.running.done()
    await asyncio.sleep(30)
    await client.running
    assert client.closed[0]["Output"] == TIMED_OUT and wire.ended


async def test_a_client_that_has_gone_ends_its_command():
    client = Client()
    wire = await client.begun()
    client.hang_up()
    await client.running
    assert wire.ended and client.closed == []


async def test_a_client_that_speaks_otherwise_is_hung_up_on():
    client = Client()
    wire = await client.begun()
    client.to_server.put_nowait({"type": "websocket.receive", "bytes": b"nonsense"})
    await client.running
    assert wire.ended


async def test_the_client_can_end_its_session():
    client = Client()
    wire = await client.begun()
    client.send(m.FLAG, (2).to_bytes(4, "big"))
    await client.running
    assert client.closed[0]["Output"] == "" and wire.ended


@pytest.mark.parametrize("fails", [Permanent("no such container"), Temporary("node is not connected")])
async def test_why_a_command_cannot_begin_is_told(fails):
    client = Client()
    client.hub.fails = fails
    await client.begun()
    await client.running
    assert str(fails) in client.closed[0]["Output"]
    assert client.closed[0]["Output"].startswith("----------ERROR-------\nUnable to start command")


async def test_a_program_that_is_not_there_is_told_of():
    client = Client()
    wire = await client.begun()
    wire.to_server.put_nowait(Ended(-1, 'exec: "bash": executable file not found in $PATH'))
    await client.running
    assert "executable file not found" in client.closed[0]["Output"]


async def test_a_node_that_goes_away_is_told_of():
    client = Client()
    wire = await client.begun()
    wire.to_server.put_nowait(None)
    await client.running
    assert "node" in client.closed[0]["Output"]
