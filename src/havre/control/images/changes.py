"""Every change of repositories, images, tags and layers: plain functions inside a transaction. They raise Refusal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from havre.control.images.kinds import (
    IMAGE,
    LAYER,
    REPOSITORY,
    TAG,
    Image,
    ImageSpec,
    ImageStatus,
    Layer,
    LayerSpec,
    Place,
    Repository,
    TagSpec,
)
from havre.control.images.ports import Refusal, Why
from havre.core.images.manifest import Manifest
from havre.core.images.mutability import is_movable
from havre.kernel.resource import NoStatus, Resource
from havre.store.ports import Reader, Transaction

INLINE_LIMIT = 32 * 1024
"""Manifests up to this size live in the image record, larger ones with the blobs."""
IMAGE_LIMIT = 100_000
"""Images in a repository, as in ECR."""
TAG_LIMIT = 1_000
"""Tags of one image, as in ECR."""


def repository(reader: Reader, place: Place) -> Repository:
    found = reader.get(REPOSITORY, *place)
    if found is None:
        raise Refusal(
            Why.NO_REPOSITORY,
            f"The repository with name '{place.repository}' does not exist in the registry with id '{place.account}'",
        )
    return found


def resolve(reader: Reader, place: Place, reference: str) -> Image | None:
    """The image behind a digest or a tag."""
    if ":" not in reference:
        tag = reader.get(TAG, place.account, place.region, place.tagged(reference))
        if tag is None:
            return None
        reference = tag.spec.digest
    return reader.get(IMAGE, place.account, place.region, place.at(reference))


def layer(reader: Reader, place: Place, digest: str) -> Layer | None:
    return reader.get(LAYER, place.account, place.region, place.at(digest))


def tags_of(reader: Reader, place: Place, digest: str) -> list[str]:
    return [t.spec.tag for t in reader.find(TAG, "image", place.key(digest))]


def link(change: Transaction, place: Place, digest: str, size: int) -> None:
    """The repository may serve this blob from now on; its file is durable."""
    repository(change, place)
    if layer(change, place, digest) is None:
        change.create(
            LAYER,
            account=place.account,
            region=place.region,
            name=place.at(digest),
            arn=f"{place.arn}/{digest}",
            spec=LayerSpec(place.repository, digest, size),
            status=NoStatus(),
        )


def put_image(
    change: Transaction, place: Place, tags: Sequence[str], digest: str, content: bytes, manifest: Manifest
) -> Image:
    """The image is there and has these tags. A manifest over INLINE_LIMIT is kept with the blobs already."""
    owner = repository(change, place)
    _check_references(change, place, manifest)
    image = change.get(IMAGE, place.account, place.region, place.at(digest))
    if image is None:
        image = _create(change, place, digest, content, manifest)
    for tag in tags:
        _tag(change, place, owner, tag, digest)
    if tags and change.count(TAG, "image", place.key(digest)) > TAG_LIMIT:
        raise Refusal(Why.TOO_MANY, f"An image cannot have more than {TAG_LIMIT} tags")
    return image


def _create(change: Transaction, place: Place, digest: str, content: bytes, manifest: Manifest) -> Image:
    if change.count(IMAGE, "repository", place.scope) >= IMAGE_LIMIT:
        raise Refusal(Why.TOO_MANY, f"The repository cannot have more than {IMAGE_LIMIT} images")
    blobs = [b.digest for b in manifest.blobs if not b.foreign]
    inline = content
    if len(content) > INLINE_LIMIT:
        inline = b""
        blobs.append(digest)
        link(change, place, digest, len(content))
    return change.create(
        IMAGE,
        account=place.account,
        region=place.region,
        name=place.at(digest),
        arn=f"{place.arn}/{digest}",
        spec=ImageSpec(
            place.repository,
            digest,
            manifest.media_type,
            inline,
            len(content),
            manifest.size,
            tuple(dict.fromkeys(blobs)),
            tuple(dict.fromkeys(c.digest for c in manifest.children)),
            manifest.subject.digest if manifest.subject else "",
            manifest.config_media_type,
            manifest.artifact_type,
            manifest.annotations if manifest.subject else {},
        ),
        status=ImageStatus(),
    )


def _check_references(change: Transaction, place: Place, manifest: Manifest) -> None:
    missing = []
    for blob in manifest.blobs:
        if blob.foreign:
            continue
        known = layer(change, place, blob.digest)
        if known is None:
            missing.append(blob.digest)
        elif known.spec.size != blob.size:
            message = f"The size of {blob.digest} is {known.spec.size}, not {blob.size} as the manifest says"
            raise Refusal(Why.WRONG_SIZE, message, [blob.digest])
    if missing:
        shown = ", ".join(missing)
        raise Refusal(
            Why.NO_LAYERS,
            f"Layers with digests '[{shown}]' required for pushing image into repository "
            f"with name '{place.repository}' in the registry with id '{place.account}' do not exist",
            missing,
        )
    absent = [c.digest for c in manifest.children if resolve(change, place, c.digest) is None]
    if absent:
        shown = ", ".join(absent)
        raise Refusal(
            Why.NO_IMAGES,
            f"Images with digests '[{shown}]' required for pushing image into repository "
            f"with name '{place.repository}' in the registry with id '{place.account}' do not exist",
            absent,
        )


def _tag(change: Transaction, place: Place, owner: Repository, tag: str, digest: str) -> None:
    spec = TagSpec(place.repository, tag, digest)
    current = change.get(TAG, place.account, place.region, place.tagged(tag))
    if current is None:
        change.create(
            TAG,
            account=place.account,
            region=place.region,
            name=place.tagged(tag),
            arn=f"{place.arn}:{tag}",
            spec=spec,
            status=NoStatus(),
        )
    elif current.spec.digest != digest:
        if not is_movable(tag, owner.spec.mutability, owner.spec.exclusions):
            message = (
                f"The image tag '{tag}' already exists in the '{place.repository}' repository and cannot be "
                "overwritten because the tag is immutable."
            )
            raise Refusal(Why.TAG_TAKEN, message, [tag])
        change.update(current, spec=spec)


def remove_tag(change: Transaction, place: Place, tag: str) -> str | None:
    """Gives the digest that it stood for; None when there was no such tag."""
    found = change.get(TAG, place.account, place.region, place.tagged(tag))
    if found is None:
        return None
    change.remove(found)
    return found.spec.digest


def remove_image(change: Transaction, place: Place, digest: str) -> list[str]:
    """The image goes with its tags, which are given. Its layers stay until they are swept."""
    image = resolve(change, place, digest)
    if image is None:
        raise Refusal(Why.NO_IMAGE, "Requested image not found", [digest])
    parents = [i.spec.digest for i in change.find(IMAGE, "child", place.key(digest))]
    if parents:
        shown = ", ".join(parents)
        raise Refusal(Why.IN_USE, f"Requested image referenced by manifest list: [{shown}]", parents)
    tags = change.find(TAG, "image", place.key(digest))
    for tag in list(tags):
        change.remove(tag)
    change.remove(image)
    return [t.spec.tag for t in tags]


def remove_layer(change: Transaction, place: Place, digest: str) -> bool:
    """False when the repository has no such layer. Refused while an image needs it."""
    found = layer(change, place, digest)
    if found is None:
        return False
    if users := change.find(IMAGE, "blob", place.key(digest)):
        raise Refusal(Why.IN_USE, f"The image {users[0].spec.digest} needs this layer", [users[0].spec.digest])
    change.remove(found)
    return True


def remove_repository(change: Transaction, place: Place, force: bool) -> Repository:
    owner = repository(change, place)
    images = change.find(IMAGE, "repository", place.scope)
    if images and not force:
        message = (
            f"The repository with name '{place.repository}' in registry with id '{place.account}' cannot be deleted "
            "because it still contains images"
        )
        raise Refusal(Why.NOT_EMPTY, message)
    belongings: list[Resource[Any, Any]] = [*images]
    belongings += change.find(TAG, "repository", place.scope)
    belongings += change.find(LAYER, "repository", place.scope)
    for found in belongings:
        change.remove(found)
    change.remove(owner)
    return owner


def note_pulls(change: Transaction, pulls: Mapping[tuple[Place, str], float]) -> None:
    """Remember when images were last pulled; those that are gone are skipped."""
    for (place, digest), at in pulls.items():
        image = change.get(IMAGE, place.account, place.region, place.at(digest))
        if image is not None and (image.status.pulled or 0) < at:
            change.update(image, status=ImageStatus(at))
