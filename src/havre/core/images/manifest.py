"""Manifests: what an image, an index or an artifact says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from havre.core.images.names import is_digest

DOCKER_IMAGE = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_IMAGE = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
IMAGES = frozenset((DOCKER_IMAGE, OCI_IMAGE))
INDEXES = frozenset((DOCKER_LIST, OCI_INDEX))
SIZE_LIMIT = 4 * 1024 * 1024
"""Bytes of a manifest, as in ECR and in the distribution specification."""
REFERENCE_LIMIT = 10_000
_FOREIGN = ("foreign", "nondistributable")


class ManifestError(ValueError):
    """The content is not a manifest that a registry can keep; the message says why."""


class Descriptor(msgspec.Struct, frozen=True):
    digest: str
    size: int
    media_type: str = ""
    artifact_type: str = ""
    annotations: Mapping[str, str] = {}
    foreign: bool = False
    """The content lives elsewhere (``urls``): it need not be in the registry."""


class Manifest(msgspec.Struct, frozen=True):
    """``blobs``: config first, then layers. ``children``: the manifests of an index. ``artifact_type`` is what the
    referrers API shows: the manifest's own, else its config's media type."""

    media_type: str
    blobs: tuple[Descriptor, ...] = ()
    children: tuple[Descriptor, ...] = ()
    subject: Descriptor | None = None
    config_media_type: str = ""
    artifact_type: str = ""
    annotations: Mapping[str, str] = {}

    @property
    def size(self) -> int:
        """Bytes that the image takes: its config and its layers, as DescribeImages tells it."""
        return sum(b.size for b in self.blobs if not b.foreign)


_decode = msgspec.json.Decoder(dict[str, Any]).decode


def parse(content: bytes, content_type: str = "") -> Manifest:
    """``content_type`` is the one it was pushed with ("" takes the manifest's own). Raises ManifestError."""
    if len(content) > SIZE_LIMIT:
        raise ManifestError(f"the manifest is larger than {SIZE_LIMIT} bytes")
    try:
        data = _decode(content)
    except (msgspec.DecodeError, RecursionError) as e:
        raise ManifestError(f"the manifest is not a JSON object: {e}") from None
    media_type = _media_type(data, content_type.partition(";")[0].strip())
    if data.get("schemaVersion") != 2:
        raise ManifestError("schemaVersion must be 2")
    subject = None if data.get("subject") is None else _descriptor(data["subject"], "subject")
    annotations = _strings(data.get("annotations"), "annotations")
    artifact_type = _text(data, "artifactType")
    if media_type in INDEXES:
        children = _descriptors(data, "manifests")
        return Manifest(media_type, (), children, subject, "", artifact_type, annotations)
    config = _descriptor(data.get("config"), "config")
    blobs = (config, *_descriptors(data, "layers"))
    return Manifest(media_type, blobs, (), subject, config.media_type, artifact_type or config.media_type, annotations)


def _media_type(data: Mapping[str, Any], declared: str) -> str:
    """Which kind of manifest this is. What it says itself and what it was sent as must agree."""
    own = _text(data, "mediaType")
    if declared == "application/json":
        declared = ""
    if own and declared and own != declared:
        raise ManifestError(f"mediaType {own} is not the Content-Type {declared}")
    found = own or declared or (OCI_INDEX if "manifests" in data else OCI_IMAGE)
    if found not in IMAGES and found not in INDEXES:
        raise ManifestError(f"the media type {found} is not that of a manifest that this registry keeps")
    if (found in INDEXES and "layers" in data) or (found in IMAGES and "manifests" in data):
        raise ManifestError("a manifest has layers and an index has manifests, none has both")
    return found


def _descriptors(data: Mapping[str, Any], name: str) -> tuple[Descriptor, ...]:
    items = data.get(name)
    if items is None:
        return ()
    if not isinstance(items, list) or len(items) > REFERENCE_LIMIT:
        raise ManifestError(f"{name} must be a list of at most {REFERENCE_LIMIT} descriptors")
    return tuple([_descriptor(item, name, i) for i, item in enumerate(items)])


def _descriptor(item: Any, name: str, at: int | None = None) -> Descriptor:
    """``at``: which one of the list ``name``."""
    if not isinstance(item, dict):
        raise ManifestError(f"{_where(name, at)} must be a descriptor")
    digest, size = item.get("digest"), item.get("size")
    if not isinstance(digest, str) or not is_digest(digest):
        raise ManifestError(f"{_where(name, at)}.digest is not a sha256 or sha512 digest")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ManifestError(f"{_where(name, at)}.size must be a number of bytes")
    media_type = _text(item, "mediaType")
    annotations = item.get("annotations")
    return Descriptor(
        digest,
        size,
        media_type,
        _text(item, "artifactType"),
        _strings(annotations, f"{_where(name, at)}.annotations") if annotations is not None else {},
        foreign=bool(item.get("urls")) and any(word in media_type for word in _FOREIGN),
    )


def _where(name: str, at: int | None) -> str:
    return name if at is None else f"{name}[{at}]"


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ManifestError(f"{name} must be a string")
    return value


def _strings(value: Any, where: str) -> Mapping[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise ManifestError(f"{where} must map strings to strings")
    return value
