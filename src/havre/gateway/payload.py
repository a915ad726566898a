"""Payloads: the hash that a signature covers, and bodies sent in signed chunks (``aws-chunked``)."""

from __future__ import annotations

import hmac
from hashlib import sha256

from havre.gateway.sigv4 import EMPTY_SHA256, STREAMING, UNSIGNED, Canonical, Denied, Signature, Verifier

SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
LONGEST_LINE = 16 * 1024


def verify(verifier: Verifier, request: Canonical, claimed: Signature, secret: str, body: bytes) -> bytes:
    """The body as the service shall see it. Raises Denied when signature or payload do not fit."""
    said = claimed.payload
    if said is None or said == "":
        verifier.check(request, claimed, secret, sha256(body).hexdigest() if body else EMPTY_SHA256)
        return body
    verifier.check(request, claimed, secret, said)
    if said == UNSIGNED:
        return body
    if said.startswith(STREAMING):
        return _decode(verifier, request, claimed, secret, body)
    if not hmac.compare_digest(said.encode("utf-8", "replace"), sha256(body).hexdigest().encode()):
        raise Denied("payload", "The provided 'x-amz-content-sha256' header does not match what was computed.")
    return body


def _decode(verifier: Verifier, request: Canonical, claimed: Signature, secret: str, body: bytes) -> bytes:
    if claimed.payload not in (SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER):
        raise Denied("payload", f"Unsupported x-amz-content-sha256: {str(claimed.payload)[:60]}")
    key = None if claimed.payload == UNSIGNED_TRAILER else verifier.signing_key(secret, claimed)
    chunks = Chunks(claimed, key)
    chunks.feed(body)
    chunks.finish()
    data = b"".join(chunks.data)
    said = request.headers.get("x-amz-decoded-content-length", "")
    if said and (not said.isdecimal() or int(said) != len(data)):
        raise Denied("payload", "x-amz-decoded-content-length does not match the length of the decoded body.")
    return data


def plain(request: Canonical, body: bytes) -> bytes:
    """Takes chunks apart without looking at their signatures (``--auth open``)."""
    said = request.headers.get("x-amz-content-sha256", "")
    if not said.startswith(STREAMING):
        return body
    chunks = Chunks(None, None, trailer=said.endswith("-TRAILER"))
    chunks.feed(body)
    chunks.finish()
    return b"".join(chunks.data)


class Chunks:
    """Takes an ``aws-chunked`` body apart; ``key`` None leaves the chunks' signatures unchecked."""

    def __init__(self, claimed: Signature | None, key: bytes | None, trailer: bool | None = None) -> None:
        self.data: list[bytes] = []
        self.trailers: dict[str, str] = {}
        self._claimed = claimed
        self._key = key
        self._previous = claimed.signature if claimed else ""
        self._has_trailer = trailer if trailer is not None else str(claimed and claimed.payload).endswith("-TRAILER")
        self._buffer = bytearray()
        self._state = "header"
        self._size = 0
        self._signature = ""

    def feed(self, piece: bytes) -> None:
        """Raises Denied for a malformed chunk or a wrong signature."""
        self._buffer += piece
        while self._step():
            pass

    def finish(self) -> None:
        """Raises Denied when the body ends too early."""
        if self._state == "trailer" and not self._buffer:
            self._end_trailers()
        if self._state != "done" or self._buffer.strip():
            raise Denied("payload", "The chunked body is incomplete or has a tail.")

    def _step(self) -> bool:
        if self._state == "header":
            return self._header()
        if self._state == "data":
            return self._chunk()
        if self._state == "trailer":
            return self._trailer()
        return False

    def _line(self) -> str | None:
        at = self._buffer.find(b"\r\n")
        if at < 0:
            if len(self._buffer) > LONGEST_LINE:
                raise Denied("payload", "A chunk header is too long.")
            return None
        line = bytes(self._buffer[:at])
        del self._buffer[: at + 2]
        return line.decode("latin-1")

    def _header(self) -> bool:
        line = self._line()
        if line is None:
            return False
        size, _, extension = line.partition(";")
        try:
            self._size = int(size, 16)
        except ValueError:
            raise Denied("payload", "A chunk's size is not a hexadecimal number.") from None
        self._signature = extension.removeprefix("chunk-signature=")
        if self._size == 0 and self._has_trailer:
            self._check(b"")
            self._state = "trailer"
        else:
            self._state = "data"
        return True

    def _chunk(self) -> bool:
        if len(self._buffer) < self._size + 2:
            return False
        data = bytes(self._buffer[: self._size])
        if self._buffer[self._size : self._size + 2] != b"\r\n":
            raise Denied("payload", "A chunk does not end where it said.")
        del self._buffer[: self._size + 2]
        self._check(data)
        if data:
            self.data.append(data)
        self._state = "header" if data else "done"
        return True

    def _check(self, data: bytes) -> None:
        if self._key is None or self._claimed is None:
            return
        c = self._claimed
        digest = sha256(data).hexdigest()
        text = f"AWS4-HMAC-SHA256-PAYLOAD\n{c.stamp}\n{c.scope}\n{self._previous}\n{EMPTY_SHA256}\n{digest}"
        self._compare(text, self._signature)
        self._previous = self._signature

    def _compare(self, text: str, given: str) -> None:
        expected = hmac.digest(self._key or b"", text.encode(), "sha256").hex()
        if not hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace")):
            raise Denied("payload", "A chunk's signature does not match.")

    def _trailer(self) -> bool:
        line = self._line()
        if line is None:
            return False
        if line == "":
            self._end_trailers()
            return False
        name, _, value = line.partition(":")
        self.trailers[name.strip().lower()] = value.strip()
        return True

    def _end_trailers(self) -> None:
        self._state = "done"
        given = self.trailers.pop("x-amz-trailer-signature", "")
        if self._key is None or self._claimed is None:
            return
        c = self._claimed
        covered = "".join(f"{n}:{v}\n" for n, v in sorted(self.trailers.items()))
        digest = sha256(covered.encode()).hexdigest()
        self._compare(f"AWS4-HMAC-SHA256-TRAILER\n{c.stamp}\n{c.scope}\n{self._previous}\n{digest}", given)
