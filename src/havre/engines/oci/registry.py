"""Pulling from a registry over HTTP, in the calling thread: manifests and blobs, each checked against its digest."""

from __future__ import annotations

import base64
import http.client
import json
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from ipaddress import ip_address
from typing import IO, Any, NamedTuple
from urllib.parse import quote, urlencode, urljoin, urlsplit

from havre.engines.webhook import refuse_metadata_at
from havre.kernel.errors import Permanent, Temporary
from havre.kernel.workload import Registry

_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_LARGEST_MANIFEST = 4 << 20
_PIECE = 1 << 18
_PATIENCE = 60.0
_REDIRECTS = 5


class Reference(NamedTuple):
    host: str
    name: str
    version: str


def parse(image: str) -> Reference:
    """``host[:port]/name[:tag][@digest]``; Raises Permanent for an image that names no registry."""
    rest, _, digest = image.partition("@")
    host, slash, name = rest.partition("/")
    if not slash or not ("." in host or ":" in host or host == "localhost"):
        raise Permanent(f"{image} names no registry")
    base, colon, tag = name.rpartition(":")
    return Reference(host, base if colon else name, digest or (tag if colon else "latest"))


def is_plain(host: str) -> bool:
    """Whether it is spoken to without TLS, as Docker has it: this machine's own."""
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


class Puller:
    """One image's registry. Every call raises Permanent in the registry's words, or Temporary."""

    def __init__(self, reference: Reference, credentials: Registry | None) -> None:
        self._reference = reference
        self._basic = ""
        if credentials is not None:
            pair = f"{credentials.username}:{credentials.password}"
            self._basic = "Basic " + base64.b64encode(pair.encode()).decode()
        self._authorization = self._basic

    def manifest(self, version: str) -> tuple[str, Mapping[str, Any]]:
        """(digest, manifest)."""
        with self._get(f"manifests/{version}", ", ".join(_MANIFESTS)) as answer:
            content = answer.read(_LARGEST_MANIFEST + 1)
        digest = "sha256:" + sha256(content).hexdigest()
        if len(content) > _LARGEST_MANIFEST or (":" in version and digest != version):
            raise Permanent(f"the manifest of {self._reference.name} is not {version}")
        return digest, _object(content)

    def blob(self, digest: str, into: IO[bytes], largest: int) -> None:
        """Written to the file, which is at its beginning then."""
        known, left = sha256(), largest
        with self._get(f"blobs/{digest}", "*/*") as answer:
            while piece := answer.read(_PIECE):
                left -= len(piece)
                if left < 0:
                    raise Permanent(f"{digest} of {self._reference.name} has more than {largest} bytes")
                known.update(piece)
                into.write(piece)
        if "sha256:" + known.hexdigest() != digest:
            raise Permanent(f"the content of {digest} of {self._reference.name} is not what its digest says")
        into.seek(0)

    @contextmanager
    def _get(self, path: str, accept: str) -> Iterator[http.client.HTTPResponse]:
        scheme = "http" if is_plain(self._reference.host) else "https"
        url = f"{scheme}://{self._reference.host}/v2/{quote(self._reference.name)}/{quote(path, safe='/:')}"
        with self._asked(url, accept) as answer:
            if answer.status != 401 or not self._ask_for_token(answer.headers.get("WWW-Authenticate", "")):
                _check(answer, path)
                yield answer
                return
        with self._asked(url, accept) as answer:
            _check(answer, path)
            yield answer

    def _ask_for_token(self, challenge: str) -> bool:
        """Whether there is one to try again with."""
        if not challenge.lower().startswith("bearer "):
            return False
        said = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        if urlsplit(said.get("realm", "")).scheme != "https" and not is_plain(urlsplit(said.get("realm", "")).netloc):
            return False
        query = urlencode({k: v for k, v in said.items() if k in ("service", "scope")})
        self._authorization = self._basic
        with self._asked(f"{said['realm']}?{query}", "application/json") as answer:
            _check(answer, "token")
            token = _object(answer.read(_LARGEST_MANIFEST))
        self._authorization = f"Bearer {token.get('token') or token.get('access_token') or ''}"
        return True

    @contextmanager
    def _asked(self, url: str, accept: str) -> Iterator[http.client.HTTPResponse]:
        """Follows redirects; credentials go to the registry's own host only."""
        first = urlsplit(url)[:2]
        for _ in range(_REDIRECTS):
            parts = urlsplit(url)
            headers = {"Accept": accept, "User-Agent": "havre"}
            if self._authorization and parts[:2] == first:
                headers["Authorization"] = self._authorization
            connection = _connection(parts.scheme, parts.netloc)
            try:
                try:
                    connection.connect()
                    refuse_metadata_at(connection.sock.getpeername()[0])
                    connection.request("GET", parts.path + (f"?{parts.query}" if parts.query else ""), headers=headers)
                    answer = connection.getresponse()
                    if answer.status not in (301, 302, 303, 307, 308):
                        yield answer
                        return
                    url = urljoin(url, answer.headers.get("Location", ""))
                except (OSError, http.client.HTTPException) as error:
                    raise Temporary(f"the registry {parts.netloc} does not answer: {error}") from error
            finally:
                connection.close()
        raise Permanent(f"the registry {first[1]} sends from one place to the next")


def _connection(scheme: str, host: str) -> http.client.HTTPConnection:
    if scheme == "https":
        return http.client.HTTPSConnection(host, timeout=_PATIENCE, context=ssl.create_default_context())
    if scheme == "http":
        return http.client.HTTPConnection(host, timeout=_PATIENCE)
    raise Permanent(f"a registry cannot be reached by {scheme!r}")


def _check(answer: http.client.HTTPResponse, path: str) -> None:
    if answer.status == 200:
        return
    text = answer.read(4096).decode("utf-8", "replace")
    try:
        said = json.loads(text)["errors"][0]
        words = f"{said.get('code')}: {said.get('message')}"
    except (ValueError, LookupError, TypeError, AttributeError):
        words = f"HTTP status {answer.status}"
    if answer.status >= 500 or answer.status == 429:
        raise Temporary(f"the registry does not give {path}: {words}")
    raise Permanent(f"the registry does not give {path}: {words}")


def _object(content: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Permanent("the registry answers with what is no JSON object")
    return found
