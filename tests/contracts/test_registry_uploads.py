"""Uploads that are cut off, by the client or by ``kill -9``: they go on where they stopped, and nothing half is seen."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts.oci_client import Client
from tests.contracts.registry_server import Process, running

NAME = "uploads/app"
OCTETS = {"Content_Type": "application/octet-stream"}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def server(state: Path) -> Iterator[Process]:
    with running(state, [NAME]) as process:
        yield process


def _begin(client: Client) -> str:
    begun = client("POST", f"/v2/{NAME}/blobs/uploads/")
    assert begun.status == 202
    return begun.location


def _cut(server: Process, client: Client, location: str, content: bytes, announced: int) -> None:
    """A PATCH whose client hangs up before all has been sent."""
    head = f"PATCH {location} HTTP/1.1\r\nHost: {server.address}\r\nContent-Length: {announced}\r\n"
    head += f"Authorization: {client._login['Authorization']}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.sendall(head.encode() + content)
    deadline = time.monotonic() + 60
    while client("GET", location).headers["range"] != f"0-{len(content) - 1}":
        assert time.monotonic() < deadline, "what was sent did not arrive"
        time.sleep(0.02)


@pytest.mark.parametrize("size", [10_000, 3 << 20])
def test_an_upload_goes_on_where_the_client_hung_up(server: Process, state: Path, size: int) -> None:
    client = Client(server.address, server.password)
    content = os.urandom(2 * size)
    location = _begin(client)
    _cut(server, client, location, content[:size], 2 * size)
    uploads = state / "registry" / "uploads"
    deadline = time.monotonic() + 60
    while [path.read_bytes() for path in uploads.glob("*/*")] != [content[:size]]:
        assert time.monotonic() < deadline, "what had come is not kept"
        time.sleep(0.02)  # the server has yet to see that the client is gone
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert client("HEAD", f"/v2/{NAME}/blobs/{digest}").status == 404
    done = client("PUT", location, content[size:], {"digest": digest}, **OCTETS)
    assert done.status == 201, done
    assert client("GET", f"/v2/{NAME}/blobs/{digest}").body == content
    assert list(uploads.glob("*/*")) == []


@pytest.mark.parametrize("size", [10_000, 3 << 20])
def test_what_was_told_to_be_kept_outlives_kill_9(state: Path, size: int) -> None:
    content = os.urandom(size)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    with running(state, [NAME]) as first:
        client = Client(first.address, first.password)
        location = _begin(client)
        assert client("PATCH", location, content[: size // 2], **OCTETS).status == 202
        whole = os.urandom(100)
        name = f"sha256:{hashlib.sha256(whole).hexdigest()}"
        assert client("PUT", _begin(client), whole, {"digest": name}, **OCTETS).status == 201
    with running(state, [NAME]) as second:
        client = Client(second.address, second.password)
        assert client("GET", location).headers["range"] == f"0-{size // 2 - 1}"
        assert client("GET", f"/v2/{NAME}/blobs/{name}").body == whole
        done = client("PUT", location, content[size // 2 :], {"digest": digest}, **OCTETS)
        assert done.status == 201, done
        assert client("GET", f"/v2/{NAME}/blobs/{digest}").body == content


def test_many_at_once_of_the_same_content(server: Process) -> None:
    """They race for one blob: all succeed, and there is one."""
    from concurrent.futures import ThreadPoolExecutor

    content = os.urandom(200_000)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"

    def push(_: int) -> int:
        client = Client(server.address, server.password)
        return client("PUT", _begin(client), content, {"digest": digest}, **OCTETS).status

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(push, range(24))) == {201}
    assert Client(server.address, server.password)("GET", f"/v2/{NAME}/blobs/{digest}").body == content
