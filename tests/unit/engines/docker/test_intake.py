"""Lines over Docker's fluentd driver: every one once and in order, whatever is cut, slow, full, malformed or killed."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.apps.shelf import SharedShelf
from havre.cli.shelf import Shelf
from havre.engines.docker.forward import Lines, Malformed, Short, read
from havre.engines.docker.intake import Intake

TAG = "w/main"


def message(text: bytes, tag: str = TAG, **more: str) -> bytes:
    at = msgspec.msgpack.Ext(0, struct.pack(">II", 1_790_000_000, 123_456_789))
    record = {
        "container_id": "f" * 64,
        "container_name": "/x",
        "source": "stdout",
        "log": text.decode("latin-1"),
        **more,
    }
    return msgspec.msgpack.encode([tag, at, record, {}])


@given(texts=st.lists(st.text(st.characters(codec="ascii"), max_size=40), max_size=8), cut=st.integers(0, 4000))
def test_messages_are_read_whole_or_not_at_all(texts: list[str], cut: int) -> None:
    data = b"".join(message(t.encode()) for t in texts)[:cut]
    at, found = 0, []
    with suppress(Short):
        while at < len(data):
            one, at = read(data, at)
            assert (one.tag, one.at) == (TAG, 1_790_000_000_123)
            found.append(one.record[b"log"].decode())
    assert found == texts[: len(found)]
    assert data[:at] == b"".join(message(t.encode()) for t in found)


@given(st.binary(max_size=64))
def test_anything_else_is_refused_or_waited_for(data: bytes) -> None:
    with suppress(Short, Malformed):
        at = 0
        while at < len(data):
            _, at = read(data, at)


def test_long_lines_come_in_pieces_and_leave_whole() -> None:
    joined = Lines(limit=10)
    parts = {"partial_message": "true", "partial_id": "1"}
    pieces = [
        message(b"abc", **parts, partial_last="false"),
        message(b"other", partial_message="true", partial_id="2", partial_last="true"),
        message(b"def", **parts, partial_last="true"),
    ]
    assert [joined.add(read(p, 0)[0]) for p in pieces] == [None, b"other", b"abcdef"]
    large = [message(b"x" * 7, **parts, partial_last="false") for _ in range(3)]
    assert [joined.add(read(p, 0)[0]) for p in large] == [None, b"x" * 14, None]


class NoShelf:
    def found(self) -> Sequence[socket.socket]:
        return ()

    def leave(self, sock: socket.socket) -> None:
        return

    def take(self, sock: socket.socket) -> None:
        return


class Sink:
    """``slow`` makes it take its time; ``trouble`` is raised once."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.slow = False
        self.waiting: list[asyncio.Future[None]] = []
        self.trouble: Exception | None = None

    def __call__(
        self, workload: str, container: str, lines: Sequence[tuple[int, bytes]]
    ) -> asyncio.Future[None] | None:
        if self.trouble:
            trouble, self.trouble = self.trouble, None
            raise trouble
        assert (workload, container) == ("w", "main")
        self.lines += [text for _, text in lines]
        if not self.slow:
            return None
        self.waiting.append(asyncio.get_running_loop().create_future())
        return self.waiting[-1]


@asynccontextmanager
async def listening(path: Path, sink: Sink) -> AsyncIterator[socket.socket]:
    """A connection to a running intake."""
    running = asyncio.get_running_loop().create_task(Intake(path, sink, NoShelf()).run())
    await until(path.exists)
    driver = socket.socket(socket.AF_UNIX)
    driver.connect(str(path))
    try:
        yield driver
    finally:
        driver.close()
        running.cancel()
        await asyncio.wait([running])


async def until(seen: Callable[[], bool]) -> None:
    async with asyncio.timeout(90):
        while not seen():
            await asyncio.sleep(0.002)


async def send(driver: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().run_in_executor(None, driver.sendall, data)


async def test_all_lines_in_order_over_odd_pieces(tmp_path: Path) -> None:
    sink = Sink()
    wanted = [str(n).encode() for n in range(5000)]
    data = b"".join(map(message, wanted))
    async with listening(tmp_path / "s", sink) as driver:
        for at in range(0, len(data), 7919):
            await send(driver, data[at : at + 7919])
        await until(lambda: len(sink.lines) == 5000)
    assert sink.lines == wanted


async def test_a_sink_that_is_full_holds_the_writer_back(tmp_path: Path) -> None:
    sink = Sink()
    sink.slow = True
    async with listening(tmp_path / "s", sink) as driver:
        writing = asyncio.ensure_future(send(driver, message(b"x" * 1000) * 2000))
        await until(lambda: bool(sink.waiting))
        await asyncio.sleep(0.1)
        assert (len(sink.waiting), writing.done()) == (1, False)
        sink.slow = False
        sink.waiting[0].set_result(None)
        await writing
        await until(lambda: len(sink.lines) == 2000)


async def test_a_disk_that_refuses_costs_time_and_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("havre.engines.docker.intake._PATIENCE", 0.01)
    sink = Sink()
    sink.trouble = OSError(28, "No space left on device")
    async with listening(tmp_path / "s", sink) as driver:
        await send(driver, message(b"a") + message(b"b"))
        await until(lambda: len(sink.lines) == 2)
    assert sink.lines == [b"a", b"b"]


async def test_nonsense_ends_its_connection_alone(tmp_path: Path) -> None:
    sink = Sink()
    async with listening(tmp_path / "s", sink) as driver:
        other = socket.socket(socket.AF_UNIX)
        other.connect(str(tmp_path / "s"))
        await send(other, b"GET / HTTP/1.1\r\n\r\n")
        with suppress(ConnectionResetError):
            assert await asyncio.get_running_loop().run_in_executor(None, other.recv, 1) == b""
        other.close()
        await send(driver, message(b"a"))
        await until(lambda: sink.lines == [b"a"])


async def test_the_end_takes_in_who_has_just_connected(tmp_path: Path) -> None:
    """A container that starts while the node ends in order has connected and written before anybody has looked."""
    sink, path = Sink(), tmp_path / "s"
    running = asyncio.get_running_loop().create_task(Intake(path, sink, NoShelf()).run())
    await until(path.exists)
    with socket.socket(socket.AF_UNIX) as driver, socket.socket(socket.AF_UNIX) as late:
        driver.connect(str(path))
        driver.sendall(message(b"first") + message(b"second"))
        running.cancel()
        await asyncio.wait([running])
        assert sink.lines == [b"first", b"second"]
        with pytest.raises(OSError):
            driver.sendall(message(b"third"))
        with pytest.raises(ConnectionRefusedError):
            late.connect(str(path))


async def test_the_end_takes_in_what_has_come(tmp_path: Path) -> None:
    sink = Sink()
    running = asyncio.get_running_loop().create_task(Intake(tmp_path / "s", sink, NoShelf()).run())
    await until((tmp_path / "s").exists)
    driver = socket.socket(socket.AF_UNIX)
    driver.connect(str(tmp_path / "s"))
    driver.sendall(message(b"a"))
    await until(lambda: sink.lines == [b"a"])
    driver.sendall(message(b"b") * 100)
    running.cancel()
    await asyncio.wait([running])
    assert len(sink.lines) == 101
    with pytest.raises(OSError):
        driver.sendall(message(b"c"))
    driver.close()


def _node(path: str, out: str, environment: dict[str, str], killed: bool) -> None:
    """A node's life in a process of its own: takes lines in, writes them down. The one that is killed ends in the middle
    of them, the other when the file ``<out>.end`` is there."""

    async def live() -> None:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

        def sink(workload: str, container: str, lines: Sequence[tuple[int, bytes]]) -> None:
            os.write(descriptor, b"".join(text + b"\n" for _, text in lines))
            if killed and os.fstat(descriptor).st_size > 5000:
                os.kill(os.getpid(), 9)

        intake = asyncio.ensure_future(Intake(Path(path), sink, SharedShelf(environment)).run())
        while not Path(f"{out}.end").exists():
            await asyncio.sleep(0.02)
        intake.cancel()
        await asyncio.wait([intake])

    asyncio.run(live())


def _life(path: Path, out: Path, shelf: Shelf, killed: bool) -> int:
    shelf.receive()
    if pid := os.fork():
        return pid
    try:
        _node(str(path), str(out), shelf.environment(), killed)
    finally:
        os._exit(0)


def test_a_killed_nodes_successor_finds_the_sockets_and_what_is_in_them(tmp_path: Path) -> None:
    import threading
    import time

    path, out, shelf = tmp_path / "s", tmp_path / "out", Shelf()
    first = _life(path, out, shelf, killed=True)
    while not path.exists():
        time.sleep(0.01)
    driver = socket.socket(socket.AF_UNIX)
    driver.connect(str(path))
    count = 20_000

    def write() -> None:
        for n in range(count):
            driver.sendall(message(str(n).encode()))
        driver.close()

    writer = threading.Thread(target=write)
    writer.start()
    assert os.WTERMSIG(os.waitpid(first, 0)[1]) == 9
    second = _life(path, out, shelf, killed=False)
    writer.join(100)
    Path(f"{out}.end").touch()
    os.waitpid(second, 0)
    found = out.read_text().split()
    assert list(dict.fromkeys(found)) == [str(n) for n in range(count)]
    shelf.receive()
    assert shelf.environment()["HAVRE_LEFT"] == ""
