"""Whether a tag still stands for the image that the machine has: one HEAD request, where Docker's pull makes several.

Only for registries on this machine's loopback addresses (Havre's own), which Docker, too, asks over plain HTTP. Any doubt is
left to Docker's pull.
"""

from __future__ import annotations

import asyncio
import base64
from ipaddress import ip_address

from havre.kernel.workload import Registry

_ACCEPT = ", ".join(
    (
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
    )
)
_PATIENCE = 2.0
_MAX_HEAD = 16 << 10


def local(host: str) -> tuple[str, int] | None:
    """(address, port) of a registry on a loopback address; None for any other."""
    name, _, port = host.rpartition(":")
    try:
        loopback = ip_address(name).is_loopback
    except ValueError:
        return None
    return (name, int(port)) if loopback and port.isdecimal() else None


async def current_digest(host: str, repository: str, tag: str, registry: Registry | None) -> str:
    """The digest that the tag has now; "" when the registry is not local, or does not say."""
    place = local(host)
    if place is None or not all(c.isalnum() or c in "._-/" for c in repository + tag):
        return ""
    try:
        async with asyncio.timeout(_PATIENCE):
            head = await _ask(place, host, f"/v2/{repository}/manifests/{tag}", registry)
    except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return ""
    lines = head.decode("latin-1").split("\r\n")
    if lines[0].split(" ")[1:2] != ["200"]:
        return ""
    for line in lines[1:]:
        name, _, value = line.partition(":")
        if name.lower() == "docker-content-digest":
            return value.strip()
    return ""


async def _ask(place: tuple[str, int], host: str, path: str, registry: Registry | None) -> bytes:
    reader, writer = await asyncio.open_connection(*place, limit=_MAX_HEAD)
    try:
        lines = [f"HEAD {path} HTTP/1.1", f"Host: {host}", f"Accept: {_ACCEPT}", "Connection: close"]
        if registry is not None:
            secret = base64.b64encode(f"{registry.username}:{registry.password}".encode()).decode()
            lines.append(f"Authorization: Basic {secret}")
        writer.write("\r\n".join([*lines, "", ""]).encode())
        return await reader.readuntil(b"\r\n\r\n")
    finally:
        writer.close()
