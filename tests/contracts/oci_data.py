"""Images, indexes and artifacts to push, of every shape that clients make."""

from __future__ import annotations

import gzip
import hashlib
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

IMAGE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
EMPTY = "application/vnd.oci.empty.v1+json"
KIND_A, KIND_B = "application/vnd.example.a", "application/vnd.example.b"
Descriptor = dict[str, Any]


def digest(content: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


@dataclass
class Data:
    """What to push: blobs, then manifests in order, then tags. ``subjects``: digest → the descriptors that refer to it."""

    algorithm: str = "sha256"
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    subjects: dict[str, list[Descriptor]] = field(default_factory=dict)
    by_parameter: bool = False
    """Tags are pushed as parameters of the push by digest."""

    def blob(self, content: bytes, media_type: str) -> Descriptor:
        name = digest(content, self.algorithm)
        self.blobs[name] = content
        return {"mediaType": media_type, "digest": name, "size": len(content)}

    def manifest(self, content: Mapping[str, Any], tag: str = "") -> Descriptor:
        raw = json.dumps(content).encode()
        name = digest(raw, self.algorithm)
        self.manifests[name] = raw
        if tag:
            self.tags[tag] = name
        described = {"mediaType": content["mediaType"], "digest": name, "size": len(raw)}
        if subject := content.get("subject"):
            kind = content.get("artifactType") or content.get("config", {}).get("mediaType")
            refers = {**described, **({"artifactType": kind} if kind else {})}
            if annotations := content.get("annotations"):
                refers["annotations"] = annotations
            self.subjects.setdefault(subject["digest"], []).append(refers)
        return described

    def image(
        self, tag: str = "", layers: int | None = 2, gzipped: bool = True, inline: bool = False, **extra: Any
    ) -> Descriptor:
        """``layers`` None leaves ``null`` where the list should be, as some clients do. ``inline`` adds ``data``."""
        described, plain = [], []
        for _ in range(layers or 0):
            raw = secrets.token_bytes(512)
            plain.append(digest(raw))
            packed = gzip.compress(raw) if gzipped else raw
            described.append(self.blob(packed, LAYER + ("+gzip" if gzipped else "")))
        platform = {"os": "linux", "architecture": "amd64"}
        config = json.dumps({**platform, "rootfs": {"type": "layers", "diff_ids": plain}, **extra.pop("in_config", {})})
        head = self.blob(config.encode(), CONFIG)
        if inline:
            import base64

            head["data"] = base64.b64encode(config.encode()).decode()
        listed = None if layers is None else described
        return self.manifest(_manifest(head, listed, **extra), tag)

    def artifact(self, kind: str, tag: str = "", content: bytes | None = None, **extra: Any) -> Descriptor:
        config = self.blob(b"{}", EMPTY)
        layer = self.blob(content or secrets.token_bytes(512), kind if content is None else EMPTY)
        return self.manifest(_manifest(config, [layer], artifactType=kind, **extra), tag)

    def index(self, children: Sequence[Descriptor] | None, tag: str = "", **extra: Any) -> Descriptor:
        listed = None if children is None else list(children)
        return self.manifest({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed, **extra}, tag)

    def platforms(self, tag: str = "", **extra: Any) -> Descriptor:
        children = []
        for architecture in ("amd64", "arm64"):
            child = self.image(**extra)
            children.append({**child, "platform": {"os": "linux", "architecture": architecture}})
        return self.index(children, tag, **extra)


def _manifest(config: Descriptor, layers: Sequence[Descriptor] | None, **extra: Any) -> dict[str, Any]:
    return {"schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": layers, **extra}


def _unique() -> dict[str, str]:
    return {"org.example.note": "a note", "org.example.unique": secrets.token_hex(8)}


def _subjects(d: Data) -> None:
    subject = d.image("image")
    d.image(subject=subject)
    d.artifact(KIND_A, "artifact-1", annotations=_unique(), subject=subject)
    d.artifact(KIND_B, "artifact-2", annotations=_unique(), subject=subject)


def _index_with_subject(d: Data) -> None:
    subject = d.platforms("index")
    children = [d.artifact(KIND_A) for _ in range(2)]
    d.index(children, "artifacts", artifactType=KIND_A, annotations=_unique(), subject=subject)


def _missing_subject(d: Data) -> None:
    absent = {"mediaType": IMAGE, "digest": digest(secrets.token_bytes(9)), "size": 123}
    d.artifact(KIND_A, "artifact", annotations=_unique(), subject=absent)


def _foreign_layers(d: Data) -> None:
    config = d.blob(b'{"os":"linux","architecture":"amd64"}', CONFIG)
    layers: list[Descriptor] = []
    for kind in ("tar+gzip", "tar"):
        name = digest(secrets.token_bytes(64))
        layers.append(
            {
                "mediaType": f"application/vnd.oci.image.layer.nondistributable.v1.{kind}",
                "digest": name,
                "size": 123456,
                "urls": [f"https://store.example.com/{name}"],
            }
        )
    layers.append(d.blob(secrets.token_bytes(512), LAYER))
    d.manifest(_manifest(config, layers), "foreign")


def _nested(d: Data) -> None:
    d.index([d.platforms(), d.platforms()], "nested")


def _parameters(d: Data) -> None:
    d.platforms("top")
    for i, name in enumerate(list(d.manifests)):
        d.tags[f"{d.algorithm}-{i}"] = name
    d.by_parameter = True


def _artifact_index(d: Data) -> None:
    d.index([d.artifact(KIND_A), d.artifact(KIND_A)], "artifact-index", artifactType=KIND_A)


_LARGE = {f"large-{i}": "A" * 10_000 for i in range(390)}
_EXTRA = {"org.example.unknown": {"a": 1}}
SETS: dict[str, tuple[str, Callable[[Data], object]]] = {
    "image": ("sha256", lambda d: d.image("image")),
    "image-uncompressed": ("sha256", lambda d: d.image("plain", gzipped=False)),
    "large-manifest": ("sha256", lambda d: d.image("large", annotations=_LARGE)),
    "index": ("sha256", lambda d: d.platforms("index")),
    "nested-index": ("sha256", _nested),
    "empty-index": ("sha256", lambda d: d.index([], "index")),
    "null-index": ("sha256", lambda d: d.index(None, "index")),
    "artifact": ("sha256", lambda d: d.artifact(KIND_A, "artifact")),
    "artifact-index": ("sha256", _artifact_index),
    "artifact-without-layers": ("sha256", lambda d: d.artifact(KIND_A, "artifact", b"{}")),
    "artifacts-with-subject": ("sha256", _subjects),
    "index-with-subject": ("sha256", _index_with_subject),
    "missing-subject": ("sha256", _missing_subject),
    "data-field": ("sha256", lambda d: d.image("data", inline=True)),
    "foreign-layers": ("sha256", _foreign_layers),
    "custom-fields": ("sha256", lambda d: d.platforms("custom", in_config=_EXTRA, **_EXTRA)),
    "no-layers": ("sha256", lambda d: d.image("none", layers=0)),
    "null-layers": ("sha256", lambda d: d.image("null", layers=None)),
    "sha512": ("sha512", lambda d: d.platforms()),
    "tag-parameters-sha256": ("sha256", _parameters),
    "tag-parameters-sha512": ("sha512", _parameters),
}
"""Name → (digest algorithm, how it is made)."""


def make(name: str) -> Data:
    algorithm, fill = SETS[name]
    data = Data(algorithm)
    fill(data)
    return data
