"""Layers: what docker does over the registry's own protocol, for those who push and pull through this API."""

from __future__ import annotations

from functools import partial
from typing import Any

from havre.control.images import Refusal, Why
from havre.control.images.addresses import ensure_address
from havre.control.images.changes import layer, repository
from havre.control.operation import Answer, Call, Operations, Request
from havre.core.images.names import is_digest
from havre.core.images.passwords import Ticket
from havre.kernel.errors import ApiError
from havre.services.ecr import present
from havre.services.ecr.common import about, place
from havre.services.ecr.errors import invalid, modelled
from havre.services.ecr.facilities import Facilities

PART_SIZE = 10 * 1024 * 1024
"""What InitiateLayerUpload recommends, as AWS does."""
URL_LIFETIME = 3600
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


async def check_availability(call: Call, request: Request) -> Answer:
    where = place(call, request)
    with modelled():
        repository(call.store, where)
    found: list[dict[str, Any]] = []
    failures: list[dict[str, Any]] = []
    for digest in request["layerDigests"]:
        if not is_digest(digest):
            code = "InvalidLayerDigest" if digest else "MissingLayerDigest"
            reason = "Invalid layer digest" if digest else "The layer digest is missing"
            failures.append({"layerDigest": digest, "failureCode": code, "failureReason": reason})
            continue
        known = layer(call.store, where, digest)
        if known is None:
            found.append({"layerDigest": digest, "layerAvailability": "UNAVAILABLE"})
        else:
            size = known.spec.size
            found.append(
                {"layerDigest": digest, "layerAvailability": "AVAILABLE", "layerSize": size, "mediaType": _LAYER}
            )
    return {"layers": found, "failures": failures}


async def initiate(given: Facilities, call: Call, request: Request) -> Answer:
    where = place(call, request)
    with modelled():
        repository(call.store, where)
        return {"uploadId": await given.open_layers().begin(where), "partSize": PART_SIZE}


async def upload_part(given: Facilities, call: Call, request: Request) -> Answer:
    where, id = place(call, request), request["uploadId"]
    first, last, blob = request["partFirstByte"], request["partLastByte"], request["layerPartBlob"]
    if last - first + 1 != len(blob):
        raise invalid("partLastByte", "The length of the layer part does not match the given bytes")
    with modelled(where, id):
        repository(call.store, where)
        received = await given.open_layers().append(where, id, first, blob)
    return {**present.named(where), "uploadId": id, "lastByteReceived": received - 1}


async def complete(given: Facilities, call: Call, request: Request) -> Answer:
    where, id = place(call, request), request["uploadId"]
    digests = list(dict.fromkeys(request["layerDigests"]))
    if len(digests) != 1 or not is_digest(digests[0]):
        raise invalid("layerDigests", "There must be one sha256 or sha512 digest")
    layers = given.open_layers()
    with modelled(where, id):
        repository(call.store, where)
        if not await layers.received(where, id):
            raise Refusal(Why.EMPTY, f"The upload with id '{id}' has no layer parts")
        if layer(call.store, where, digests[0]) is not None:
            message = f"Layer with digest '{digests[0]}' already exists in the repository '{where.repository}'"
            raise ApiError("LayerAlreadyExistsException", message)
        await layers.complete(where, id, digests[0])
    return {**present.named(where), "uploadId": id, "layerDigest": digests[0]}


async def download_url(given: Facilities, call: Call, request: Request) -> Answer:
    where, digest = place(call, request), request["layerDigest"]
    with modelled():
        repository(call.store, where)
    if not is_digest(digest) or layer(call.store, where, digest) is None:
        raise ApiError(
            "LayersNotFoundException",
            f"The layer with digest '{digest}' does not exist within the repository with name "
            f"'{where.repository}' in the registry with id '{where.account}'",
        )
    now = int(call.now)
    ticket = Ticket(b"", where.account, now, now + URL_LIFETIME, f"{where.scope}@{digest}")
    password = given.open_passwords().issue(ticket)
    host = present.endpoint(call.site, await ensure_address(call.store, call.site, where.account, where.region))
    url = f"http://{host}/v2/{where.repository}/blobs/{digest}?ticket={password}"
    return {"downloadUrl": url, "layerDigest": digest}


def operations(given: Facilities) -> Operations:
    ops = Operations()
    about(ops, "BatchCheckLayerAvailability")(check_availability)
    about(ops, "InitiateLayerUpload")(partial(initiate, given))
    about(ops, "UploadLayerPart")(partial(upload_part, given))
    about(ops, "CompleteLayerUpload")(partial(complete, given))
    about(ops, "GetDownloadUrlForLayer")(partial(download_url, given))
    return ops
