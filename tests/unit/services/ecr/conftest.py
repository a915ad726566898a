"""ECR's API over a real port, and the registry's data plane beside it, on the same resources."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.contracts.oci_client import Client
from tests.running_gateway import ACCOUNT, ROOT, SECRET, Running

from havre.apps.registry import Ground, Registry
from havre.control.images import Place
from havre.services import ecr
from havre.services.ecr.facilities import Facilities

IMAGE = "application/vnd.oci.image.manifest.v1+json"
REGION = "us-east-1"


class Installation:
    def __init__(self, state: Path) -> None:
        given = Facilities()
        self.running = Running(
            besides=[ecr.service(given)],
            resource_policies={"ecr": ecr.resource_policy},
            registry=lambda scope, receive, send: self.registry.app(scope, receive, send),
        )
        gateway = self.running.gateway
        store, world = self.running.store, self.running.world
        ground = Ground(state, gateway.parts.site, store, store.pack, world, SECRET, gateway.parts.trail)
        self.registry = Registry(ground, gateway)
        given.layers, given.passwords = self.registry.facilities.layers, self.registry.facilities.passwords

    def close(self) -> None:
        self.running.wait(self.registry.parts.blobs.close())
        self.running.close()

    def client(self, key: Any = ROOT, region: str = REGION) -> Any:
        return self.running.client("ecr", key, region)

    def password(self, key: Any = ROOT) -> str:
        (data,) = self.client(key).get_authorization_token()["authorizationData"]
        return base64.b64decode(data["authorizationToken"]).decode().partition(":")[2]

    def wire(self, key: Any = ROOT) -> Client:
        """The registry's own protocol, with this caller's login."""
        return Client(f"127.0.0.1:{self.running.port}", self.password(key))

    def place(self, name: str) -> Place:
        return Place(ACCOUNT, REGION, name)


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path)
    yield made
    made.close()


@pytest.fixture
def api(installation: Installation) -> Any:
    return installation.client()


def push_layer(api: Any, repository: str, content: bytes) -> str:
    """Through the API, as an agent without docker does."""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    if (
        api.batch_check_layer_availability(repositoryName=repository, layerDigests=[digest])["layers"][0][
            "layerAvailability"
        ]
        == "AVAILABLE"
    ):
        return digest
    upload = api.initiate_layer_upload(repositoryName=repository)["uploadId"]
    last = len(content) - 1
    api.upload_layer_part(
        repositoryName=repository, uploadId=upload, partFirstByte=0, partLastByte=last, layerPartBlob=content
    )
    api.complete_layer_upload(repositoryName=repository, uploadId=upload, layerDigests=[digest])
    return digest


def manifest(api: Any, repository: str, content: bytes = b"layer", **more: Any) -> str:
    """Of an image whose blobs are there."""
    blobs = {b: push_layer(api, repository, b) for b in (b"{}", content)}
    described = {
        b: {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": d, "size": len(b)}
        for b, d in blobs.items()
    }
    config = {**described[b"{}"], "mediaType": "application/vnd.oci.image.config.v1+json"}
    return json.dumps(
        {"schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": [described[content]], **more}
    )


def put(api: Any, repository: str, tag: str | None, content: bytes = b"layer", **more: Any) -> str:
    """An image of one layer; its digest."""
    text = manifest(api, repository, content, **more)
    named = {"imageTag": tag} if tag else {}
    return str(api.put_image(repositoryName=repository, imageManifest=text, **named)["image"]["imageId"]["imageDigest"])
