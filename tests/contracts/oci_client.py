"""A registry client for tests: one request at a time, and no opinion on the answer."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

ACCEPT = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        "oci.image.index.v1",
        "oci.image.manifest.v1",
        "docker.distribution.manifest.v2",
        "docker.distribution.manifest.list.v2",
    )
)


@dataclass
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def codes(self) -> list[str]:
        return [e["code"] for e in self.json["errors"]]

    @property
    def location(self) -> str:
        return self.headers["location"]


class Client:
    def __init__(self, address: str, password: str = "", user: str = "AWS") -> None:
        self.address = address
        self._connection = http.client.HTTPConnection(address, timeout=60)
        login = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._login = {"Authorization": f"Basic {login}"} if password else {}

    def __call__(
        self,
        method: str,
        path: str,
        body: bytes | Iterator[bytes] | None = None,
        query: Sequence[tuple[str, str]] | Mapping[str, str] = (),
        **headers: str,
    ) -> Reply:
        """``path`` may be a whole URL; ``query`` is added to its own. Header names have _ for -."""
        parts = urlsplit(path)
        given = urlencode(query)
        joined = "&".join(q for q in (parts.query, given) if q)
        target = parts.path + (f"?{joined}" if joined else "")
        lines = {**self._login, **{k.replace("_", "-"): v for k, v in headers.items()}}
        if body is None and method in ("POST", "PUT", "PATCH"):
            body = b""
        try:
            self._connection.request(method, target, body, lines)
        except (ConnectionError, http.client.CannotSendRequest):
            self._connection.close()
            self._connection.request(method, target, body, lines)
        response = self._connection.getresponse()
        content = response.read()
        return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, content)

    def close(self) -> None:
        self._connection.close()
