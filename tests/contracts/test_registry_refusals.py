"""What the registry is asked wrongly: each is refused with a code and in words, and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.contracts.oci_client import Client
from tests.contracts.registry_server import Process, running

NAME = "refusals/app"
ZEROS = "sha256:" + "0" * 64


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with running(tmp_path_factory.mktemp("refusals") / "state", [NAME]) as process:
        yield process


@pytest.fixture
def client(server: Process) -> Client:
    return Client(server.address, server.password)


@pytest.mark.parametrize(
    ("path", "status", "code", "words"),
    [
        (f"/v2/{NAME}/manifests/nope", 404, "MANIFEST_UNKNOWN", "Requested image not found"),
        (f"/v2/{NAME}/manifests/{ZEROS}", 404, "MANIFEST_UNKNOWN", "Requested image not found"),
        (f"/v2/{NAME}/manifests/-x", 400, "TAG_INVALID", "not a valid one"),
        (f"/v2/{NAME}/manifests/sha256:xyz", 400, "DIGEST_INVALID", "invalid checksum digest format"),
        (f"/v2/{NAME}/blobs/{ZEROS}", 404, "BLOB_UNKNOWN", "unknown"),
        (f"/v2/{NAME}/blobs/{ZEROS[:-1]}", 400, "DIGEST_INVALID", "invalid checksum digest format"),
        (f"/v2/{NAME}/blobs/md5:{'0' * 32}", 400, "DIGEST_INVALID", "invalid checksum digest format"),
        (f"/v2/{NAME}/tags/list?n=%C2%B2", 400, "PAGINATION_NUMBER_INVALID", "number"),
        (f"/v2/{NAME}/tags/list?n=-1", 400, "PAGINATION_NUMBER_INVALID", "number"),
        ("/v2/nosuch/tags/list", 404, "NAME_UNKNOWN", "The repository with name 'nosuch' does not exist"),
        ("/v2/UPPER/tags/list", 400, "NAME_INVALID", "invalid repository name"),
        ("/v2/%2e%2e/tags/list", 400, "NAME_INVALID", "invalid repository name"),
        ("/v2/app%00/tags/list", 400, "NAME_INVALID", "invalid repository name"),
        (f"/v2/{NAME}/blobs/uploads/..%2f..%2f..%2fetc%2fpasswd", 404, "UNSUPPORTED", "nothing at this path"),
        ("/v2/../../etc/passwd", 404, "UNSUPPORTED", "nothing at this path"),
    ],
)
def test_wrong_questions(client: Client, path: str, status: int, code: str, words: str) -> None:
    answer = client("GET", path)
    told = json.loads(answer.body)["errors"][0]
    assert (answer.status, told["code"]) == (status, code)
    assert words in told["message"]


def test_wrong_digests_leave_nothing(client: Client) -> None:
    for digest in (ZEROS, "sha256:x", "nothing"):
        answer = client("POST", f"/v2/{NAME}/blobs/uploads/?digest={digest}", body=b"abc")
        assert (answer.status, json.loads(answer.body)["errors"][0]["code"]) == (400, "DIGEST_INVALID")
    assert client("GET", f"/v2/{NAME}/blobs/{ZEROS}").status == 404
    manifest = b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'
    headers = {"Content_Type": "application/vnd.oci.image.index.v1+json"}
    assert client("PUT", f"/v2/{NAME}/manifests/{ZEROS}", body=manifest, **headers).status == 400
    assert json.loads(client("GET", f"/v2/{NAME}/tags/list").body)["tags"] == []
