"""Resources → AWS's shapes."""

from __future__ import annotations

from typing import Any

from havre.control.images import IMAGE, Image, Place, Repository
from havre.control.images.changes import tags_of
from havre.control.operation import Site
from havre.core.images.mutability import IMMUTABLE_EXCEPT, MUTABLE_EXCEPT
from havre.store.ports import Reader


def endpoint(site: Site, address: str) -> str:
    """``host:port`` of a registry."""
    return address if site.port == 80 else f"{address}:{site.port}"


def repository(found: Repository, site: Site, address: str) -> dict[str, Any]:
    spec, meta = found.spec, found.meta
    return {
        "repositoryArn": meta.arn,
        "registryId": meta.account,
        "repositoryName": meta.name,
        "repositoryUri": f"{endpoint(site, address)}/{meta.name}",
        "createdAt": meta.created,
        **mutability(found),
        "imageScanningConfiguration": {"scanOnPush": spec.scan_on_push},
        "encryptionConfiguration": {"encryptionType": "AES256"},
    }


def mutability(found: Repository) -> dict[str, Any]:
    spec = found.spec
    shown: dict[str, Any] = {"imageTagMutability": spec.mutability}
    if spec.mutability in (IMMUTABLE_EXCEPT, MUTABLE_EXCEPT):
        shown["imageTagMutabilityExclusionFilters"] = [{"filterType": "WILDCARD", "filter": f} for f in spec.exclusions]
    return shown


def named(place: Place) -> dict[str, Any]:
    return {"registryId": place.account, "repositoryName": place.repository}


def image_detail(reader: Reader, place: Place, image: Image) -> dict[str, Any]:
    spec = image.spec
    tags = tags_of(reader, place, spec.digest)
    return {
        **named(place),
        "imageDigest": spec.digest,
        "imageTags": tags or None,
        "imageSizeInBytes": size(reader, place, image),
        "imagePushedAt": image.meta.created,
        "imageManifestMediaType": spec.media_type,
        "artifactMediaType": spec.artifact_type or None,
        "lastRecordedPullTime": image.status.pulled,
        "subjectManifestDigest": spec.subject or None,
        "imageStatus": "ACTIVE",
    }


def size(reader: Reader, place: Place, image: Image) -> int:
    """Bytes of config and layers; of an index, those of its largest image."""
    if not image.spec.children:
        return image.spec.size
    children = (reader.get(IMAGE, place.account, place.region, place.at(d)) for d in image.spec.children)
    return max((c.spec.size for c in children if c is not None), default=0)
