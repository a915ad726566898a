"""``havre ecs exec`` against a server's end that is played by hand."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import signal
import struct
import termios
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from havre.cli.developing.terminal import talk
from havre.cli.tasks import _cluster
from havre.core.data_channel import messages as m


class Agent:
    """Says what an agent says; keeps what it hears."""

    def __init__(self) -> None:
        self.opening: Any = None
        self.heard: list[m.Message] = []
        self.acknowledged: list[int] = []
        self.changed = asyncio.Event()
        self.port = 0
        self.number = 0
        self.silent = False
        self.socket: ServerConnection | None = None

    async def __call__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.opening = json.loads(await socket.recv())
        await self.say(m.HANDSHAKE_REQUEST, m.handshake_request("3.1"))
        async for data in socket:
            assert isinstance(data, bytes)
            message = m.unpack(data)
            if message.kind == m.ACKNOWLEDGE:
                self.acknowledged.append(json.loads(message.payload)["AcknowledgedMessageSequenceNumber"])
            else:
                self.heard.append(message)
                if not self.silent:
                    await self.acknowledge(message)
            self.changed.set()

    async def acknowledge(self, message: m.Message) -> None:
        told = {
            "AcknowledgedMessageType": message.kind,
            "AcknowledgedMessageId": m.uuid_text(message.id),
            "AcknowledgedMessageSequenceNumber": message.number,
            "IsSequentialMessage": True,
        }
        assert self.socket is not None
        await self.socket.send(m.pack(m.Message(m.ACKNOWLEDGE, 0, json.dumps(told).encode())))

    async def say(self, payload_type: int, payload: bytes, number: int | None = None) -> None:
        if number is None:
            number, self.number = self.number, self.number + 1
        assert self.socket is not None
        await self.socket.send(m.pack(m.Message(m.OUTPUT, number, payload, payload_type, os.urandom(16), 1.0)))

    async def close(self, reason: str) -> None:
        assert self.socket is not None
        payload = m.closed("s-1", "ecs:c_t_r", os.urandom(16), 1.0, reason)
        await self.socket.send(m.pack(m.Message(m.CLOSED, 0, payload)))

    async def until(self, payload_type: int, count: int = 1) -> list[bytes]:
        async with asyncio.timeout(30):
            while len(found := [h.payload for h in self.heard if h.payload_type == payload_type]) < count:
                self.changed.clear()
                await self.changed.wait()
        return found

    @property
    def session(self) -> dict[str, str]:
        return {
            "sessionId": "s-1",
            "streamUrl": f"ws://127.0.0.1:{self.port}/v1/data-channel/s-1",
            "tokenValue": "word",
        }


@pytest.fixture
async def agent():
    made = Agent()
    async with serve(made, "127.0.0.1", 0) as server:
        made.port = next(iter(server.sockets)).getsockname()[1]
        yield made


async def test_a_file_is_typed_and_what_comes_is_shown(agent: Agent, tmp_path: Path) -> None:
    (tmp_path / "typed").write_text("ls\n")
    with (tmp_path / "typed").open() as typed, (tmp_path / "shown").open("w+") as shown:
        running = asyncio.ensure_future(talk(agent.session, typed, shown))
        assert await agent.until(m.SIZE) == [b'{"cols":80,"rows":24}']
        assert agent.opening["TokenValue"] == "word"
        assert (await agent.until(m.DATA, 2))[:2] == [b"ls\n", b"\x04"]
        await agent.say(m.DATA, "bin é\n".encode())
        await agent.say(m.DATA, b"never\n", number=100)
        await agent.close("")
        assert await running == 0
        shown.seek(0)
        assert shown.read() == "bin é\n"
    assert json.loads((await agent.until(m.HANDSHAKE_RESPONSE))[0])["ProcessedClientActions"][0]["ActionStatus"] == 1
    assert agent.acknowledged[:2] == [0, 1]


async def test_a_terminal_is_raw_and_tells_its_size(agent: Agent, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    before = termios.tcgetattr(theirs)
    with open(theirs, "r+b", buffering=0) as raw, open(os.dup(theirs), closefd=True) as typed:
        del raw
        shown: Any = open(os.dup(theirs), "w")  # noqa: SIM115
        running = asyncio.ensure_future(talk(agent.session, typed, shown))
        assert await agent.until(m.SIZE) == [b'{"cols":100,"rows":40}']
        os.write(ours, b"\x03\r")
        assert b"".join(await agent.until(m.DATA)) in (b"\x03\r", b"\x03")
        fcntl.ioctl(typed.fileno(), termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        os.kill(os.getpid(), signal.SIGWINCH)
        assert (await agent.until(m.SIZE, 2))[1] == b'{"cols":80,"rows":24}'
        await agent.close("")
        assert await running == 0
        assert termios.tcgetattr(typed) == before
        shown.close()
    os.close(ours)


async def test_what_is_not_acknowledged_is_sent_again(agent: Agent, tmp_path: Path) -> None:
    agent.silent = True
    (tmp_path / "typed").write_text("")
    with (tmp_path / "typed").open() as typed, (tmp_path / "shown").open("w") as shown:
        running = asyncio.ensure_future(talk(agent.session, typed, shown))
        await agent.until(m.HANDSHAKE_RESPONSE, 2)
        await agent.close("")
        assert await running == 0


@pytest.mark.parametrize("reason", ["Your session timed out due to inactivity.", None])
async def test_why_a_session_ended_is_told(agent: Agent, tmp_path: Path, capsys: Any, reason: str | None) -> None:
    (tmp_path / "typed").write_text("")
    with (tmp_path / "typed").open() as typed, (tmp_path / "shown").open("w") as shown:
        running = asyncio.ensure_future(talk(agent.session, typed, shown))
        await agent.until(m.SIZE)
        if reason is None:
            assert agent.socket is not None
            await agent.socket.close()
        else:
            await agent.close(reason)
        assert await running == 1
    assert (reason or "the connection was lost") in capsys.readouterr().err


@pytest.mark.parametrize(
    ("task", "cluster"),
    [
        ("0" * 32, "default"),
        ("arn:aws:ecs:us-east-1:000000000000:task/shop/74cf", "shop"),
        ("arn:task/74cf", "default"),
    ],
)
def test_the_cluster_stands_in_the_arn(task: str, cluster: str) -> None:
    assert _cluster(task) == cluster
