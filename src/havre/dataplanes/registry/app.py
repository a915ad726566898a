"""The ASGI application: which path is what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from havre.control.images import Place, Refusal
from havre.core.images.names import is_repository
from havre.dataplanes.registry.blobs import Blobs
from havre.dataplanes.registry.errors import OciError, of_refusal
from havre.dataplanes.registry.exchange import Disconnected, Exchange, Receive, Send
from havre.dataplanes.registry.gate import Gate
from havre.dataplanes.registry.listings import Listings
from havre.dataplanes.registry.manifests import Manifests
from havre.dataplanes.registry.ports import Access, Recorder
from havre.dataplanes.registry.pulls import Pulls
from havre.dataplanes.registry.sweep import Touched
from havre.dataplanes.registry.uploads import Uploads
from havre.kernel.errors import Temporary
from havre.store.ports import Store

_DRAIN = 4 << 20
"""Bytes of a refused request's body that are read and thrown away, so that the client gets the answer."""
_ACTIONS = {
    ("blobs", "HEAD"): "BatchCheckLayerAvailability",
    ("blobs", "GET"): "GetDownloadUrlForLayer",
    ("blobs", "DELETE"): "BatchDeleteImage",
    ("uploads", "POST"): "InitiateLayerUpload",
    ("uploads", "PATCH"): "UploadLayerPart",
    ("uploads", "PUT"): "CompleteLayerUpload",
    ("manifests", "HEAD"): "BatchGetImage",
    ("manifests", "GET"): "BatchGetImage",
    ("manifests", "PUT"): "PutImage",
    ("manifests", "DELETE"): "BatchDeleteImage",
    ("tags", "GET"): "ListImages",
    ("referrers", "GET"): "ListImageReferrers",
    ("catalogue", "GET"): "DescribeRepositories",
}
"""What a request is called in the audit trail; what is missing here is not recorded."""


class RegistryApp:
    """``locate(address, host)`` gives the (account, region) that a request is for; see control.images.addresses.lookup."""

    def __init__(
        self,
        store: Store,
        blobs: Blobs,
        gate: Gate,
        touched: Touched,
        locate: Callable[[str, str], tuple[str, str]],
        record: Recorder | None = None,
    ) -> None:
        self._locate = locate
        self._record = record
        self._gate = gate
        self._uploads = Uploads(store, blobs, gate)
        self._pulls = Pulls(store, blobs, gate, touched)
        self._manifests = Manifests(store, blobs, gate, touched)
        self._listings = Listings(store, blobs, gate)

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        server = scope.get("server")
        host = headers.get(b"host", b"").decode("latin-1")
        account, region = self._locate(server[0] if server else "", host)
        name, what, rest = route(scope["path"])
        exchange = Exchange(scope, headers, receive, send, Place(account, region, name))
        error = None
        try:
            await self._handle(exchange, what, rest)
        except Disconnected:
            return
        except OciError as e:
            error = e
        except Refusal as e:
            error = of_refusal(e)
        except Temporary as e:
            error = OciError(503, "UNAVAILABLE", e.reason)
        if error is not None:
            await self._refuse(exchange, error)
        if self._record is not None and (what, exchange.method) in _ACTIONS:
            self._note(exchange, what, rest, error)

    async def _handle(self, exchange: Exchange, what: str, rest: str) -> None:
        if what == "blobs" and is_repository(exchange.place.repository):
            await self._pulls.blob(exchange, rest)  # identifies the caller itself: a ticket may open a layer
            return
        self._gate.identify(exchange)
        if what == "ping":
            await exchange.answer_json({})
        elif what == "catalogue":
            await self._listings.catalogue(exchange)
        elif what == "unknown":
            raise OciError(404, "UNSUPPORTED", "There is nothing at this path")
        elif not is_repository(exchange.place.repository):
            raise OciError(400, "NAME_INVALID", "invalid repository name", {"name": exchange.place.repository[:300]})
        elif what == "uploads":
            await (self._uploads.one(exchange, rest) if rest else self._uploads.collection(exchange))
        elif what == "manifests":
            await self._manifests.one(exchange, rest)
        elif what == "tags":
            await self._listings.tags(exchange)
        else:
            await self._listings.referrers(exchange, rest)

    async def _refuse(self, exchange: Exchange, error: OciError) -> None:
        if exchange.started:
            raise error  # an answer that was begun can only be cut off
        if b"expect" not in exchange.headers:
            await exchange.drain(_DRAIN)
        await exchange.refuse(error)

    def _note(self, exchange: Exchange, what: str, rest: str, error: OciError | None) -> None:
        assert self._record is not None
        place = exchange.place
        key = {"blobs": "layerDigest", "uploads": "uploadId", "manifests": "imageId", "referrers": "subjectId"}.get(
            what
        )
        parameters = {"registryId": place.account, "repositoryName": place.repository}
        if key and rest:
            parameters[key] = rest
        self._record(
            Access(
                exchange.principal,
                place,
                _ACTIONS[what, exchange.method],
                parameters,
                error.code if error else "",
                error.message if error else "",
                exchange.source_ip,
                exchange.header(b"user-agent"),
            )
        )


def route(path: str) -> tuple[str, str, str]:
    """(repository, what, rest) of a path: ``what`` is ping, catalogue, tags, manifests, referrers, blobs, uploads or
    unknown. Repository names have slashes, so the path is read from its end."""
    if path in ("/v2", "/v2/"):
        return "", "ping", ""
    if path == "/v2/_catalog":
        return "", "catalogue", ""
    parts = path.split("/")
    if len(parts) < 5 or parts[0] or parts[1] != "v2":
        return "", "unknown", ""
    *_, before, kind, rest = parts
    if before == "blobs" and kind == "uploads":
        return "/".join(parts[2:-3]), "uploads", rest
    if kind == "blobs" and rest == "uploads":
        return "/".join(parts[2:-2]), "uploads", ""
    if kind in ("blobs", "manifests", "referrers") and rest:
        return "/".join(parts[2:-2]), kind, rest
    if kind == "tags" and rest == "list":
        return "/".join(parts[2:-2]), "tags", ""
    return "", "unknown", ""
