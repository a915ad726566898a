"""Lists: tags, referrers, the catalogue."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from havre.control.images import IMAGE, REPOSITORY, TAG, Image, Place
from havre.control.images.changes import repository, resolve
from havre.core.images.manifest import INDEXES, OCI_INDEX, ManifestError, parse
from havre.core.images.names import is_digest
from havre.dataplanes.registry.blobs import Blobs
from havre.dataplanes.registry.errors import OciError, digest_invalid, unsupported
from havre.dataplanes.registry.exchange import Exchange
from havre.dataplanes.registry.gate import Gate
from havre.store.ports import Store

PAGE = 1000
"""Entries of a page when the client does not say."""
PAGE_LIMIT = 10_000
REFERRERS_BYTES = 3 * 1024 * 1024
"""Size of a page of referrers: an answer must stay below the 4 MiB of a manifest."""


class Listings:
    def __init__(self, store: Store, blobs: Blobs, gate: Gate) -> None:
        self._store = store
        self._blobs = blobs
        self._gate = gate

    async def tags(self, exchange: Exchange) -> None:
        """``/v2/<name>/tags/list``"""
        _only_get(exchange)
        await self._gate.allow(exchange, "ecr:ListImages")
        repository(self._store, exchange.place)
        found = [t.spec.tag for t in self._store.find(TAG, "repository", exchange.place.scope)]
        page, link = _page(exchange, found)
        await exchange.answer_json({"name": exchange.place.repository, "tags": page}, link)

    async def catalogue(self, exchange: Exchange) -> None:
        """``/v2/_catalog``"""
        _only_get(exchange)
        await self._gate.allow(exchange, "ecr:DescribeRepositories")
        found = [r.meta.name for r in self._store.list(REPOSITORY, exchange.place.account, exchange.place.region)]
        page, link = _page(exchange, found)
        await exchange.answer_json({"repositories": page}, link)

    async def referrers(self, exchange: Exchange, subject: str) -> None:
        """``/v2/<name>/referrers/<digest>``: images whose subject this is, and what clients listed by hand under the
        fallback tag before they knew that the registry does it."""
        _only_get(exchange)
        await self._gate.allow(exchange, "ecr:ListImageReferrers")
        repository(self._store, exchange.place)
        if not is_digest(subject):
            raise digest_invalid(subject)
        found = {i.spec.digest: _descriptor(i) for i in self._referring(exchange.place, subject)}
        found |= {d["digest"]: d for d in await self._fallback(exchange.place, subject) if d["digest"] not in found}
        headers = {"content-type": OCI_INDEX}
        if wanted := exchange.parameter("artifactType"):
            found = {k: d for k, d in found.items() if d.get("artifactType") == wanted}
            headers["oci-filters-applied"] = "artifactType"
        last = exchange.parameter("last")
        page: list[dict[str, Any]] = []
        size = 0
        rest = sorted(k for k in found if k > last)
        for digest in rest:
            size += len(msgspec.json.encode(found[digest]))
            if page and size > REFERRERS_BYTES:
                headers["link"] = _link(exchange, {"artifactType": wanted, "last": page[-1]["digest"]})
                break
            page.append(found[digest])
        await exchange.answer_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": page}, headers)

    def _referring(self, place: Place, subject: str) -> list[Image]:
        return list(self._store.find(IMAGE, "subject", place.key(subject)))

    async def _fallback(self, place: Place, subject: str) -> list[dict[str, Any]]:
        index = resolve(self._store, place, subject.replace(":", "-")[:128])
        if index is None or index.spec.media_type not in INDEXES:
            return []
        content = index.spec.content or await self._blobs.read(index.spec.digest)
        try:
            children = parse(content, index.spec.media_type).children
        except ManifestError:
            return []
        present = {c.digest: c for c in children if resolve(self._store, place, c.digest) is not None}
        return [
            _described(c.media_type, c.digest, c.size, c.artifact_type, dict(c.annotations)) for c in present.values()
        ]


def _descriptor(image: Image) -> dict[str, Any]:
    spec = image.spec
    return _described(spec.media_type, spec.digest, spec.length, spec.artifact_type, dict(spec.annotations))


def _described(media_type: str, digest: str, size: int, artifact: str, annotations: dict[str, str]) -> dict[str, Any]:
    described: dict[str, Any] = {"mediaType": media_type, "digest": digest, "size": size}
    if artifact:
        described["artifactType"] = artifact
    if annotations:
        described["annotations"] = annotations
    return described


def _page(exchange: Exchange, names: list[str]) -> tuple[list[str], dict[str, str]]:
    """The names behind ``last``, at most ``n`` (in byte order), and a Link header when there are more."""
    given, last = exchange.parameter("n"), exchange.parameter("last")
    if given and not given.isdecimal():
        raise OciError(400, "PAGINATION_NUMBER_INVALID", "n must be a number", {"n": given[:50]})
    limit = min(int(given[:10]), PAGE_LIMIT) if given else PAGE
    rest = [n for n in names if n > last] if last else names
    page = rest[:limit]
    more = len(rest) > limit > 0
    return page, {"link": _link(exchange, {"last": page[-1], "n": str(limit)})} if more else {}


def _link(exchange: Exchange, parameters: dict[str, str]) -> str:
    query = urlencode({k: v for k, v in parameters.items() if v})
    return f'<{quote(exchange.path)}?{query}>; rel="next"'


def _only_get(exchange: Exchange) -> None:
    if exchange.method != "GET":
        raise unsupported(exchange.method)
