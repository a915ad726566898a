"""Images: pulled as the ECS agent pulls by default, and the pause image, which is made here.

``ECS_IMAGE_PULL_BEHAVIOR=default``: every task pulls, so that a tag that has moved is seen; when the pull fails the image
that the machine already has is used. A digest that the machine has cannot move, and is not asked for again.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from havre.engines.docker import pause
from havre.engines.docker.client import Docker, Refused
from havre.engines.docker.freshness import current_digest
from havre.engines.ports import Image
from havre.kernel.errors import Gone, Permanent, Temporary
from havre.kernel.workload import Registry

_UNREACHABLE_FOR = 30.0
"""Seconds for which a registry that did not answer is not asked again for images that are here."""
_PATIENCE_WITH_CACHE = 5.0
"""Seconds that a pull may go without a word when the image is here already."""
_PATIENCE = 300.0

_TEMPORARY = (
    "connection refused",
    "i/o timeout",
    "no route to host",
    "connection reset",
    "temporary failure",
    "no such host",
    "server misbehaving",
    "context deadline exceeded",
    "client.timeout",
    "toomanyrequests",
    "tls handshake timeout",
    "received unexpected http status: 5",
    "unexpected eof",
)


def split(reference: str) -> tuple[str, str, str]:
    """(registry host, name without tag, tag or digest) as Docker reads a reference; the host is ``docker.io`` when none."""
    name, _, digest = reference.partition("@")
    head, _, tail = name.rpartition("/")
    base, colon, tag = tail.partition(":")
    name = f"{head}/{base}" if head else base
    first = name.split("/", 1)[0] if "/" in name else ""
    host = first if "." in first or ":" in first or first == "localhost" else "docker.io"
    return host, name, digest or (tag if colon else "latest")


def is_temporary(message: str) -> bool:
    lowered = message.lower()
    return any(words in lowered for words in _TEMPORARY)


class _Queued:
    """At most one pull of a reference runs and one waits; whoever asks joins the one that has not begun, since one that
    runs may have read the tag before the push that its caller saw."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.waiting: asyncio.Future[Image] | None = None


class Images:
    def __init__(self, docker: Docker) -> None:
        self._docker = docker
        self._queues: dict[str, _Queued] = {}
        self._unreachable: dict[str, float] = {}
        self._pause: str = ""

    async def pull(self, reference: str, registry: Registry | None, *, always: bool) -> Image:
        """Raises Permanent in the engine's words, Temporary when registry or engine do not answer."""
        cached, current = await asyncio.gather(self.cached(reference), _current(reference, registry, always))
        if cached and ("@" in reference or not always or current == cached.digest != ""):
            return cached
        host = split(reference)[0]
        now = asyncio.get_running_loop().time()
        if cached and now < self._unreachable.get(host, 0.0):
            return cached
        key = f"{reference}\n{registry.username if registry else ''}\n{registry.password if registry else ''}"
        try:
            return await self._join(key, lambda: self._pull(reference, registry, bool(cached)))
        except Temporary:
            if not cached:
                raise
            self._unreachable[host] = now + _UNREACHABLE_FOR
            return cached
        except Permanent:
            if not cached:
                raise
            return cached

    async def _join(self, key: str, pull: Callable[[], Awaitable[Image]]) -> Image:
        queue = self._queues.setdefault(key, _Queued())
        if queue.waiting is not None:
            return await asyncio.shield(queue.waiting)
        mine = queue.waiting = asyncio.get_running_loop().create_future()
        try:
            async with queue.lock:
                queue.waiting = None
                image = await pull()
            mine.set_result(image)
            return image
        except BaseException as e:
            queue.waiting = None if queue.waiting is mine else queue.waiting
            error = e if isinstance(e, Exception) else Temporary("the pull was interrupted")
            mine.set_exception(error)
            mine.exception()
            raise
        finally:
            if queue.waiting is None and not queue.lock.locked():
                self._queues.pop(key, None)

    async def _pull(self, reference: str, registry: Registry | None, cached: bool) -> Image:
        _, name, version = split(reference)
        headers = {"X-Registry-Auth": _auth(registry)} if registry else {}
        query = {"fromImage": name, "tag": version}
        patience = _PATIENCE_WITH_CACHE if cached else _PATIENCE
        try:
            async with (
                asyncio.timeout(patience) as deadline,
                self._docker.stream("POST", "/images/create", query, headers=headers) as pieces,
            ):
                await _follow(pieces, deadline, patience)
        except TimeoutError:
            raise Temporary(f"no word from the registry within {patience:g} s while pulling {reference}") from None
        except (Gone, Refused) as e:
            raise _failure(str(e)) from None
        found = await self.cached(reference)
        if found is None:
            raise Temporary(f"{reference} was pulled and is gone again")
        return found

    async def cached(self, reference: str) -> Image | None:
        try:
            answer = await self._docker.call("GET", f"/images/{reference}/json")
        except Gone:
            return None
        return Image(answer["Id"], _digest(reference, answer))

    async def ensure_pause(self, architecture: str) -> str:
        """The id of the pause image; made if it is not there."""
        if not self._pause:
            tag = "3"
            try:
                self._pause = (await self._docker.call("GET", f"/images/havre/pause:{tag}/json"))["Id"]
            except Gone:
                query = {"fromSrc": "-", "repo": "havre/pause", "tag": tag}
                async with self._docker.stream(
                    "POST", "/images/create", query, body=pause.image(architecture)
                ) as pieces:
                    await _follow(pieces, None, 0)
                self._pause = (await self._docker.call("GET", f"/images/havre/pause:{tag}/json"))["Id"]
        return self._pause

    def forget_pause(self) -> None:
        """Someone removed the image (``docker image prune -a``): make it again next time."""
        self._pause = ""


async def _current(reference: str, registry: Registry | None, always: bool) -> str:
    """The digest that the reference's tag has now, where that is quickly asked and matters; "" otherwise."""
    if "@" in reference or not always:
        return ""
    host, name, tag = split(reference)
    return await current_digest(host, name.removeprefix(f"{host}/"), tag, registry)


async def _follow(pieces: Any, deadline: asyncio.Timeout | None, patience: float) -> None:
    """Read the progress to its end; each word of it moves the deadline. Raises what an ``error`` line says."""
    rest = b""
    async for piece in pieces:
        if deadline:
            deadline.reschedule(asyncio.get_running_loop().time() + patience)
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            _check(line)
    _check(rest)


def _check(line: bytes) -> None:
    if b'"error"' not in line:
        return
    said: Mapping[str, Any] = msgspec.json.decode(line)
    if "error" in said:
        raise _failure(str(said["error"]))


def _failure(message: str) -> Exception:
    return Temporary(message) if is_temporary(message) else Permanent(message)


def _auth(registry: Registry) -> str:
    content = {"username": registry.username, "password": registry.password, "serveraddress": registry.server}
    return base64.urlsafe_b64encode(msgspec.json.encode(content)).decode()


def _digest(reference: str, answer: Mapping[str, Any]) -> str:
    _, name, version = split(reference)
    if version.startswith("sha256:"):
        return version
    names = {name, name.removeprefix("docker.io/").removeprefix("library/")}
    for known in answer.get("RepoDigests") or ():
        repository, _, digest = known.partition("@")
        if repository in names:
            return str(digest)
    return ""
