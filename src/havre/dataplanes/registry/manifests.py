"""Manifests: PUT, GET, HEAD, DELETE, by tag and by digest."""

from __future__ import annotations

from havre.control.images import Image, Place
from havre.control.images.changes import INLINE_LIMIT, put_image, remove_image, remove_tag, repository, resolve
from havre.core.images.manifest import SIZE_LIMIT, Manifest, ManifestError, parse
from havre.core.images.names import algorithm, digest_of, is_digest, is_tag
from havre.dataplanes.registry.blobs import Blobs
from havre.dataplanes.registry.errors import OciError, digest_invalid, unsupported
from havre.dataplanes.registry.exchange import Exchange
from havre.dataplanes.registry.gate import Gate
from havre.dataplanes.registry.sweep import Touched
from havre.kernel.errors import Gone
from havre.store.ports import Store

_TAGS = 100
"""Tags in one PUT."""


class Manifests:
    def __init__(self, store: Store, blobs: Blobs, gate: Gate, touched: Touched) -> None:
        self._store = store
        self._blobs = blobs
        self._gate = gate
        self._touched = touched

    async def one(self, exchange: Exchange, reference: str) -> None:
        """``/v2/<name>/manifests/<reference>``"""
        if exchange.method in ("GET", "HEAD"):
            await self._get(exchange, reference)
        elif exchange.method == "PUT":
            await self._put(exchange, reference)
        elif exchange.method == "DELETE":
            await self._delete(exchange, reference)
        else:
            raise unsupported(exchange.method)

    async def _get(self, exchange: Exchange, reference: str) -> None:
        await self._gate.allow(exchange, "ecr:BatchGetImage")
        repository(self._store, exchange.place)
        _check(reference)
        image = resolve(self._store, exchange.place, reference)
        if image is None:
            raise _unknown()
        spec = image.spec
        headers = {
            "content-type": spec.media_type,
            "docker-content-digest": spec.digest,
            "etag": f'"{spec.digest}"',
            "content-length": str(spec.length),
        }
        if exchange.method == "HEAD":
            await exchange.answer(200, headers)
            return
        content = spec.content or await self._large(exchange.place, image)
        self._touched.pulled(exchange.place, spec.digest)
        await exchange.answer(200, headers, content)

    async def _large(self, place: Place, image: Image) -> bytes:
        try:
            return await self._blobs.read(image.spec.digest)
        except Gone:
            raise _unknown() from None

    async def _put(self, exchange: Exchange, reference: str) -> None:
        place = exchange.place
        await self._gate.allow(exchange, "ecr:PutImage")
        repository(self._store, place)
        _check(reference)
        by_digest = ":" in reference
        tags = [reference]
        if by_digest:
            tags = exchange.parameters("tag")
            if len(tags) > _TAGS or not all(is_tag(t) for t in tags):
                raise OciError(400, "TAG_INVALID", f"There must be at most {_TAGS} tags, each a valid one")
        content = await exchange.body(SIZE_LIMIT)
        if content is None:
            raise OciError(413, "MANIFEST_INVALID", f"A manifest has at most {SIZE_LIMIT} bytes")
        digest = digest_of(content, algorithm(reference) if by_digest else "sha256")
        if by_digest and digest != reference:
            raise OciError(400, "DIGEST_INVALID", f"The manifest has the digest {digest}", {"digest": reference})
        manifest = _parse(content, exchange.header(b"content-type"))
        if len(content) > INLINE_LIMIT:
            await self._blobs.keep(content, digest)
        await self._store.transact(lambda change: put_image(change, place, tags, digest, content, manifest))
        headers = {"location": f"/v2/{place.repository}/manifests/{digest}", "docker-content-digest": digest}
        if manifest.subject is not None:
            headers["oci-subject"] = manifest.subject.digest
        if by_digest and tags:
            headers["oci-tag"] = ", ".join(tags)
        await exchange.answer(201, headers)

    async def _delete(self, exchange: Exchange, reference: str) -> None:
        place = exchange.place
        await self._gate.allow(exchange, "ecr:BatchDeleteImage")
        repository(self._store, place)
        _check(reference)
        if ":" in reference:
            await self._store.transact(lambda change: remove_image(change, place, reference))
        elif await self._store.transact(lambda change: remove_tag(change, place, reference)) is None:
            raise _unknown()
        await exchange.answer(202, {})


def _check(reference: str) -> None:
    if ":" in reference and not is_digest(reference):
        raise digest_invalid(reference)
    if ":" not in reference and not is_tag(reference):
        raise OciError(400, "TAG_INVALID", "The tag is not a valid one", {"tag": reference[:200]})


def _parse(content: bytes, content_type: str) -> Manifest:
    try:
        return parse(content, content_type)
    except ManifestError as e:
        raise OciError(400, "MANIFEST_INVALID", str(e)) from None


def _unknown() -> OciError:
    return OciError(404, "MANIFEST_UNKNOWN", "Requested image not found")
