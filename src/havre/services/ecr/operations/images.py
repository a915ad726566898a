"""Images and tags."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from havre.control.images import IMAGE, TAG, Image, Place, Refusal, Why
from havre.control.images.changes import (
    INLINE_LIMIT,
    put_image,
    remove_image,
    remove_tag,
    repository,
    resolve,
    tags_of,
)
from havre.control.operation import Answer, Call, Operations, Request
from havre.core.images.manifest import INDEXES, ManifestError, parse
from havre.core.images.names import algorithm, digest_of, is_digest, is_tag
from havre.kernel.errors import ApiError, Gone
from havre.services.ecr import present, rules
from havre.services.ecr.common import about, page, place
from havre.services.ecr.errors import image_not_found, invalid, modelled
from havre.services.ecr.facilities import Facilities
from havre.store.ports import Reader, Transaction

_STATUS = ("TAGGED", "UNTAGGED", "ANY")
_ACTIVE = ("ACTIVE", "ARCHIVED", "ACTIVATING", "ANY")
Id = Mapping[str, str]


def _failure(id: Id, code: str, reason: str) -> dict[str, Any]:
    return {"imageId": dict(id), "failureCode": code, "failureReason": reason}


def _look_up(reader: Reader, where: Place, id: Id) -> Image | dict[str, Any]:
    """The image with this id, or the failure to report."""
    digest, tag = id.get("imageDigest"), id.get("imageTag")
    if not digest and not tag:
        return _failure(id, "MissingDigestAndTag", "Invalid request parameters: both tag and digest cannot be null")
    if digest and not is_digest(digest):
        reason = "Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'"
        return _failure(id, "InvalidImageDigest", reason)
    if tag and not is_tag(tag):
        return _failure(id, "InvalidImageTag", "Invalid request parameters: image tag is not valid")
    image = resolve(reader, where, tag or digest or "")
    if image is None:
        return _failure(id, "ImageNotFound", "Requested image not found")
    if digest and image.spec.digest != digest:
        return _failure(id, "ImageTagDoesNotMatchDigest", "Requested image tag does not match digest")
    return image


async def batch_delete(call: Call, request: Request) -> Answer:
    where = place(call, request)

    def change(transaction: Transaction) -> tuple[list[dict[str, str]], list[dict[str, Any]]]:
        repository(transaction, where)
        deleted: list[dict[str, str]] = []
        waiting: list[Id] = list(request["imageIds"])
        while True:  # an index may stand behind its images in the list: as long as something goes, try the rest again
            failures = [f for id in waiting if (f := _delete(transaction, where, id, deleted)) is not None]
            again = [f["imageId"] for f in failures if f["failureCode"] == "ImageReferencedByManifestList"]
            if not again or len(failures) == len(waiting):
                return deleted, failures
            waiting = [f["imageId"] for f in failures]

    with modelled():
        deleted, failures = await call.store.transact(change)
    return {"imageIds": deleted, "failures": failures}


def _delete(change: Transaction, where: Place, id: Id, deleted: list[dict[str, str]]) -> dict[str, Any] | None:
    """One image or tag goes; the image with its last tag. Gives the failure to report, if any."""
    image = _look_up(change, where, id)
    if isinstance(image, dict):
        return image
    digest, tag = image.spec.digest, id.get("imageTag")
    if tag and tags_of(change, where, digest) != [tag]:
        remove_tag(change, where, tag)
        deleted.append({"imageDigest": digest, "imageTag": tag})
        return None
    try:
        gone = remove_image(change, where, digest)
    except Refusal as refusal:
        if refusal.why is not Why.IN_USE:
            raise
        return _failure(id, "ImageReferencedByManifestList", refusal.message)
    deleted += [{"imageDigest": digest, "imageTag": t} for t in gone] or [{"imageDigest": digest}]
    return None


def _filtered(reader: Reader, where: Place, request: Request) -> list[Image]:
    wanted = request.get("filter", {})
    status = rules.one_of(wanted.get("tagStatus", "ANY"), _STATUS, "tagStatus")
    if rules.one_of(wanted.get("imageStatus", "ACTIVE"), _ACTIVE, "imageStatus") not in ("ACTIVE", "ANY"):
        return []  # nothing is ever archived here
    images = reader.find(IMAGE, "repository", where.scope)
    if status == "ANY":
        return list(images)
    return [i for i in images if bool(reader.count(TAG, "image", where.key(i.spec.digest))) == (status == "TAGGED")]


def _manifest_bytes(request: Request) -> tuple[bytes, str]:
    """(content, digest) of PutImage. Raises ApiError."""
    content = request["imageManifest"].encode()
    wanted = request.get("imageDigest", "")
    if wanted and not is_digest(wanted):
        raise invalid("imageDigest", "Invalid image digest")
    digest = digest_of(content, algorithm(wanted) if wanted else "sha256")
    if wanted and wanted != digest:
        message = f"Image digest '{wanted}' does not match the digest '{digest}' of the given manifest"
        raise ApiError("ImageDigestDoesNotMatchException", message)
    return content, digest


def _described(reader: Reader, where: Place, id: Id) -> Image:
    image = _look_up(reader, where, id)
    if isinstance(image, dict):
        if image["failureCode"] in ("ImageNotFound", "ImageTagDoesNotMatchDigest"):
            raise image_not_found(where, id.get("imageDigest"), id.get("imageTag"))
        raise ApiError("InvalidParameterException", image["failureReason"])
    return image


def _shown(where: Place, image: Image, tag: str | None, content: str) -> dict[str, Any]:
    id = {"imageDigest": image.spec.digest, **({"imageTag": tag} if tag else {})}
    return {
        **present.named(where),
        "imageId": id,
        "imageManifest": content,
        "imageManifestMediaType": image.spec.media_type,
    }


def _referrer(image: Image) -> dict[str, Any]:
    spec = image.spec
    return {
        "digest": spec.digest,
        "mediaType": spec.media_type,
        "artifactType": spec.artifact_type or None,
        "size": spec.length if spec.media_type in INDEXES else spec.size,
        "annotations": dict(spec.annotations) or None,
        "artifactStatus": "ACTIVE",
    }


async def put(given: Facilities, call: Call, request: Request) -> Answer:
    where = place(call, request)
    tag = request.get("imageTag")
    if tag and not is_tag(tag):
        raise invalid("imageTag", "Invalid image tag")
    content, digest = _manifest_bytes(request)
    with modelled():
        repository(call.store, where)
    try:
        manifest = parse(content, request.get("imageManifestMediaType", ""))
    except ManifestError as error:
        raise invalid("imageManifest", f"Invalid image manifest provided: {error}") from None
    if not request.get("imageManifestMediaType") and not json.loads(content).get("mediaType"):
        raise ApiError("InvalidParameterException", "image manifest mediatype not provided in manifest or parameter")
    if len(content) > INLINE_LIMIT:
        await given.open_layers().keep(content, digest)

    def change(transaction: Transaction) -> Image:
        there = resolve(transaction, where, digest)
        if there is not None and (not tag or tag in tags_of(transaction, where, digest)):
            shown = f"'{tag}'" if tag else "'null'"
            raise ApiError(
                "ImageAlreadyExistsException",
                f"Image with digest '{digest}' and tag {shown} already exists in the repository with name "
                f"'{where.repository}' in registry with id '{where.account}'",
            )
        return put_image(transaction, where, [tag] if tag else [], digest, content, manifest)

    with modelled():
        image = await call.store.transact(change)
    return {"image": _shown(where, image, tag, request["imageManifest"])}


async def batch_get(given: Facilities, call: Call, request: Request) -> Answer:
    where = place(call, request)
    with modelled():
        repository(call.store, where)
    accepted = request.get("acceptedMediaTypes")
    images, failures = [], []
    for id in request["imageIds"]:
        image = _look_up(call.store, where, id)
        if not isinstance(image, dict) and accepted and image.spec.media_type not in accepted:
            reason = f"Requested image has the media type {image.spec.media_type}, which is not accepted"
            image = _failure(id, "ImageNotFound", reason)
        if isinstance(image, dict):
            failures.append(image)
            continue
        images.append(_shown(where, image, id.get("imageTag"), await text(given, image)))
    return {"images": images, "failures": failures}


async def text(given: Facilities, image: Image) -> str:
    try:
        return (image.spec.content or await given.open_layers().read(image.spec.digest)).decode()
    except Gone:
        raise ApiError("ServerException", "The image is being deleted") from None


async def describe(given: Facilities, call: Call, request: Request) -> Answer:
    where = place(call, request)
    with modelled():
        repository(call.store, where)
    token = None
    if "imageIds" in request:
        found = [_described(call.store, where, id) for id in request["imageIds"]]
    else:
        every = _filtered(call.store, where, request)
        found, token = page(call, request, every, lambda i: i.meta.name)
    return {"imageDetails": [present.image_detail(call.store, where, i) for i in found], "nextToken": token}


async def list_images(given: Facilities, call: Call, request: Request) -> Answer:
    where = place(call, request)
    with modelled():
        repository(call.store, where)
    ids: list[dict[str, str]] = []
    for image in _filtered(call.store, where, request):
        digest = image.spec.digest
        tags = tags_of(call.store, where, digest)
        ids += [{"imageDigest": digest, "imageTag": t} for t in tags] or [{"imageDigest": digest}]
    shown, token = page(call, request, ids, lambda i: f"{i['imageDigest']}:{i.get('imageTag', '')}")
    return {"imageIds": shown, "nextToken": token}


async def referrers(given: Facilities, call: Call, request: Request) -> Answer:
    where = place(call, request)
    subject = request["subjectId"]["imageDigest"]
    if not is_digest(subject):
        raise invalid("imageDigest", "Invalid image digest")
    with modelled():
        repository(call.store, where)
    wanted = request.get("filter", {})
    every = list(call.store.find(IMAGE, "subject", where.key(subject)))
    if wanted.get("artifactTypes"):
        every = [i for i in every if i.spec.artifact_type in wanted["artifactTypes"]]
    if rules.one_of(wanted.get("artifactStatus", "ACTIVE"), _ACTIVE, "artifactStatus") not in ("ACTIVE", "ANY"):
        every = []
    limited = {"maxResults": 50, **request}
    found, token = page(call, limited, every, lambda i: i.meta.name)
    return {"referrers": [_referrer(i) for i in found], "nextToken": token}


def operations(given: Facilities) -> Operations:
    ops = Operations()
    about(ops, "BatchDeleteImage")(batch_delete)
    about(ops, "PutImage")(partial(put, given))
    about(ops, "BatchGetImage")(partial(batch_get, given))
    about(ops, "DescribeImages")(partial(describe, given))
    about(ops, "ListImages")(partial(list_images, given))
    about(ops, "ListImageReferrers")(partial(referrers, given))
    return ops
