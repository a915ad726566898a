"""Volumes on Docker, as far as its answers are put into words."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from havre.engines.docker.engine import DockerEngine
from havre.kernel.errors import Permanent
from havre.kernel.workload import Container, Volume, Workload

NO_DRIVER = b'{"message":"create v: error looking up volume plugin none: plugin \\"none\\" not found"}'


async def test_a_driver_that_docker_has_not_is_not_asked_for_again(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            status, body = b"404 Not Found", NO_DRIVER
            if b"/version" in head:
                status, body = b"200 OK", b'{"ApiVersion":"1.41"}'
            writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))

    server = await asyncio.start_unix_server(answer, str(tmp_path / "d.sock"))
    engine = DockerEngine("t000000", str(tmp_path / "d.sock"))
    workload = Workload("w", "arn", "0", "r", (Container("app", "image"),))
    with pytest.raises(Permanent, match='plugin "none" not found'):
        await engine.ensure_volume(workload, Volume("v", "docker", driver="none"))
    await engine.close()
    server.close()
