"""Images and layers through the API, and the same through the registry's own protocol."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.contracts.oci_client import ACCEPT
from tests.running_gateway import ACCOUNT, code

from havre.core.images.manifest import OCI_INDEX

from .conftest import IMAGE, Installation, manifest, push_layer, put


@pytest.fixture(autouse=True)
def repository(api: Any) -> None:
    api.create_repository(repositoryName="app")


def test_put_get_describe_list(api: Any) -> None:
    one, two = put(api, "app", "v1", b"one"), put(api, "app", None, b"two")
    put(api, "app", "stable", b"one")
    details = {d["imageDigest"]: d for d in api.describe_images(repositoryName="app")["imageDetails"]}
    assert sorted(details[one]["imageTags"]) == ["stable", "v1"]
    assert "imageTags" not in details[two]
    assert details[one]["imageSizeInBytes"] == len(b"{}") + len(b"one")
    assert details[one]["imageManifestMediaType"] == IMAGE
    assert details[one]["artifactMediaType"] == "application/vnd.oci.image.config.v1+json"
    assert details[one]["registryId"] == ACCOUNT

    def listed(**wanted: Any) -> list[tuple[str, str]]:
        found = api.list_images(repositoryName="app", **wanted)["imageIds"]
        return sorted((i["imageDigest"], i.get("imageTag", "")) for i in found)

    assert listed() == sorted([(one, "stable"), (one, "v1"), (two, "")])
    assert listed(filter={"tagStatus": "UNTAGGED"}) == [(two, "")]
    assert listed(filter={"tagStatus": "TAGGED"}) == [(one, "stable"), (one, "v1")]
    assert code(api.list_images, repositoryName="app", filter={"tagStatus": "?"}) == "InvalidParameterException"
    pages = api.get_paginator("list_images").paginate(repositoryName="app", PaginationConfig={"PageSize": 1})
    assert sorted((i["imageDigest"], i.get("imageTag", "")) for p in pages for i in p["imageIds"]) == listed()
    got = api.batch_get_image(repositoryName="app", imageIds=[{"imageTag": "v1"}, {"imageTag": "absent"}, {}])
    assert f"sha256:{hashlib.sha256(got['images'][0]['imageManifest'].encode()).hexdigest()}" == one
    assert [f["failureCode"] for f in got["failures"]] == ["ImageNotFound", "MissingDigestAndTag"]
    refused = api.batch_get_image(
        repositoryName="app", imageIds=[{"imageDigest": one}], acceptedMediaTypes=["application/x"]
    )
    assert refused["failures"][0]["failureCode"] == "ImageNotFound"
    assert code(api.describe_images, repositoryName="app", imageIds=[{"imageTag": "no"}]) == "ImageNotFoundException"
    assert code(api.describe_images, repositoryName="none") == "RepositoryNotFoundException"


def test_a_manifest_or_its_request_has_to_say_what_it_is(api: Any) -> None:
    silent = json.dumps({k: v for k, v in json.loads(manifest(api, "app")).items() if k != "mediaType"})
    with pytest.raises(ClientError, match="image manifest mediatype not provided in manifest or parameter") as told:
        api.put_image(repositoryName="app", imageManifest=silent)
    assert told.value.response["Error"]["Code"] == "InvalidParameterException"
    made = api.put_image(repositoryName="app", imageManifest=silent, imageManifestMediaType=IMAGE)["image"]
    assert made["imageManifestMediaType"] == IMAGE


def test_putting_what_is_there_is_told(api: Any) -> None:
    text = manifest(api, "app")
    api.put_image(repositoryName="app", imageManifest=text, imageTag="v1")
    again = {"repositoryName": "app", "imageManifest": text}
    assert code(api.put_image, **again, imageTag="v1") == "ImageAlreadyExistsException"
    assert code(api.put_image, **again) == "ImageAlreadyExistsException"
    api.put_image(**again, imageTag="v2")
    wrong = "sha256:" + "0" * 64
    assert code(api.put_image, **again, imageTag="v3", imageDigest=wrong) == "ImageDigestDoesNotMatchException"


def test_manifests_are_checked(api: Any) -> None:
    good = json.loads(manifest(api, "app"))
    absent = {**good["layers"][0], "digest": "sha256:" + "1" * 64}
    for content, wanted in (
        ("{", "InvalidParameterException"),
        (json.dumps({**good, "schemaVersion": 1}), "InvalidParameterException"),
        (json.dumps({**good, "layers": [absent]}), "LayersNotFoundException"),
        (json.dumps({**good, "layers": [{**good["layers"][0], "size": 3}]}), "InvalidParameterException"),
        (
            json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [absent]}),
            "ReferencedImagesNotFoundException",
        ),
    ):
        assert code(api.put_image, repositoryName="app", imageManifest=content, imageTag="x") == wanted
    assert api.list_images(repositoryName="app")["imageIds"] == []


def test_deleting_by_tag_and_by_digest(api: Any) -> None:
    digest = put(api, "app", "a")
    put(api, "app", "b")
    gone = api.batch_delete_image(repositoryName="app", imageIds=[{"imageTag": "a"}])
    assert gone["imageIds"] == [{"imageDigest": digest, "imageTag": "a"}]
    assert api.describe_images(repositoryName="app")["imageDetails"][0]["imageTags"] == ["b"]
    gone = api.batch_delete_image(repositoryName="app", imageIds=[{"imageDigest": digest}, {"imageTag": "zz"}])
    assert gone["imageIds"] == [{"imageDigest": digest, "imageTag": "b"}]
    assert [f["failureCode"] for f in gone["failures"]] == ["ImageNotFound"]
    assert api.list_images(repositoryName="app")["imageIds"] == []
    put(api, "app", "last")
    api.batch_delete_image(repositoryName="app", imageIds=[{"imageTag": "last"}])
    assert api.list_images(repositoryName="app")["imageIds"] == []  # the image goes with its last tag


def test_an_index_keeps_its_images(api: Any) -> None:
    child = put(api, "app", None)
    size = len(
        api.batch_get_image(repositoryName="app", imageIds=[{"imageDigest": child}])["images"][0]["imageManifest"]
    )
    described = {"mediaType": IMAGE, "digest": child, "size": size}
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [described]})
    parent = api.put_image(repositoryName="app", imageManifest=index, imageTag="multi")["image"]["imageId"][
        "imageDigest"
    ]
    kept = api.batch_delete_image(repositoryName="app", imageIds=[{"imageDigest": child}])
    assert kept["failures"][0]["failureCode"] == "ImageReferencedByManifestList"
    both = api.batch_delete_image(repositoryName="app", imageIds=[{"imageDigest": child}, {"imageDigest": parent}])
    assert both["failures"] == []
    assert api.list_images(repositoryName="app")["imageIds"] == []


def test_layers_in_parts(api: Any) -> None:
    content = os.urandom(30_000)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    upload = api.initiate_layer_upload(repositoryName="app")["uploadId"]
    named = {"repositoryName": "app", "uploadId": upload}

    def part(first: int, blob: bytes) -> dict[str, Any]:
        return {**named, "partFirstByte": first, "partLastByte": first + len(blob) - 1, "layerPartBlob": blob}

    assert code(api.complete_layer_upload, **named, layerDigests=[digest]) == "EmptyUploadException"
    assert api.upload_layer_part(**part(0, content[:20_000]))["lastByteReceived"] == 19_999
    with pytest.raises(api.exceptions.InvalidLayerPartException) as wrong:
        api.upload_layer_part(**part(5, content[:10]))
    assert wrong.value.response["lastValidByteReceived"] == 19_999
    api.upload_layer_part(**part(20_000, content[20_000:]))
    bad = {**named, "layerDigests": ["sha256:" + "2" * 64]}
    done = api.complete_layer_upload(**named, layerDigests=[digest])
    assert done["layerDigest"] == digest
    assert code(api.complete_layer_upload, **bad) == "UploadNotFoundException"
    seen = api.batch_check_layer_availability(repositoryName="app", layerDigests=[digest, "sha256:" + "3" * 64])
    assert [x["layerAvailability"] for x in seen["layers"]] == ["AVAILABLE", "UNAVAILABLE"]
    assert seen["layers"][0]["layerSize"] == 30_000


def test_a_layer_with_a_wrong_digest_is_refused(api: Any) -> None:
    upload = api.initiate_layer_upload(repositoryName="app")["uploadId"]
    named = {"repositoryName": "app", "uploadId": upload}
    api.upload_layer_part(**named, partFirstByte=0, partLastByte=2, layerPartBlob=b"abc")
    wrong = {**named, "layerDigests": ["sha256:" + "2" * 64]}
    assert code(api.complete_layer_upload, **wrong) == "InvalidLayerException"
    assert code(api.complete_layer_upload, **wrong) == "UploadNotFoundException"


def test_the_url_of_a_layer_opens_it_and_nothing_else(installation: Installation, api: Any) -> None:
    import urllib.error
    import urllib.request

    one, two = push_layer(api, "app", b"one"), push_layer(api, "app", b"two")
    url = api.get_download_url_for_layer(repositoryName="app", layerDigest=one)["downloadUrl"]
    url = url.replace(":4566", f":{installation.running.port}")
    with urllib.request.urlopen(url, timeout=90) as answer:
        assert answer.read() == b"one"
    for wrong in (url.replace(one, two), url.partition("?")[0]):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(wrong, timeout=90)
        assert refused.value.code == 401
    installation.running.offset = 3601
    with pytest.raises(urllib.error.HTTPError) as late:
        urllib.request.urlopen(url, timeout=90)
    assert late.value.code == 401
    installation.running.offset = 0
    missing = {"repositoryName": "app", "layerDigest": "sha256:" + "4" * 64}
    assert code(api.get_download_url_for_layer, **missing) in ("LayersNotFoundException", "LayerInaccessibleException")


def test_both_front_ends_see_the_same(installation: Installation, api: Any) -> None:
    wire = installation.wire()
    digest = put(api, "app", "from-api")
    reply = wire("GET", "/v2/app/manifests/from-api", Accept=ACCEPT)
    assert (reply.status, reply.headers["docker-content-digest"]) == (200, digest)
    again = wire("PUT", "/v2/app/manifests/from-docker", reply.body, Content_Type=IMAGE)
    assert again.status == 201
    assert sorted(api.describe_images(repositoryName="app")["imageDetails"][0]["imageTags"]) == [
        "from-api",
        "from-docker",
    ]
    assert wire("GET", "/v2/app/tags/list").json["tags"] == ["from-api", "from-docker"]
    assert wire("DELETE", f"/v2/app/manifests/{digest}").status == 202
    assert api.list_images(repositoryName="app")["imageIds"] == []


def test_pushes_and_pulls_are_recorded(installation: Installation, api: Any) -> None:
    wire = installation.wire()
    put(api, "app", "v1")
    body = wire("GET", "/v2/app/manifests/v1", Accept=ACCEPT).body
    wire("PUT", "/v2/app/manifests/v2", body, Content_Type=IMAGE)
    push_layer(api, "app", b"another")
    wire("GET", f"/v2/app/blobs/{push_layer(api, 'app', b'layer')}")
    for name in (
        "InitiateLayerUpload",
        "UploadLayerPart",
        "CompleteLayerUpload",
        "GetDownloadUrlForLayer",
        "BatchGetImage",
    ):
        assert installation.running.events(name)[0]["requestParameters"]["repositoryName"] == "app"
    event = installation.running.events("PutImage")[0]
    assert event["requestParameters"]["repositoryName"] == "app"
    assert event["userIdentity"]["type"] == "Root"
    assert event["eventSource"] == "ecr.amazonaws.com"


def test_referrers(installation: Installation, api: Any) -> None:
    subject = put(api, "app", "v1")
    size = api.batch_get_image(repositoryName="app", imageIds=[{"imageTag": "v1"}])["images"][0]["imageManifest"]
    refers = {"mediaType": IMAGE, "digest": subject, "size": len(size)}
    signature = put(api, "app", None, b"sig", artifactType="application/vnd.example.sig", subject=refers)
    (found,) = api.list_image_referrers(repositoryName="app", subjectId={"imageDigest": subject})["referrers"]
    assert (found["digest"], found["artifactType"]) == (signature, "application/vnd.example.sig")
    listed = installation.wire()("GET", f"/v2/app/referrers/{subject}").json["manifests"]
    assert [m["digest"] for m in listed] == [signature]


POLICY = {
    "rules": [
        {
            "rulePriority": 1,
            "selection": {"tagStatus": "untagged", "countType": "imageCountMoreThan", "countNumber": 1},
            "action": {"type": "expire"},
        }
    ]
}


def test_lifecycle_policies_and_their_preview(installation: Installation, api: Any) -> None:
    old, new = put(api, "app", None, b"old"), ""
    installation.running.offset = 60
    new = put(api, "app", None, b"new")
    kept = put(api, "app", "v1", b"kept")
    preview = {"repositoryName": "app"}
    assert code(api.start_lifecycle_policy_preview, **preview) == "LifecyclePolicyNotFoundException"
    assert code(api.get_lifecycle_policy_preview, **preview) == "LifecyclePolicyPreviewNotFoundException"
    api.start_lifecycle_policy_preview(**preview, lifecyclePolicyText=json.dumps(POLICY))
    api.get_waiter("lifecycle_policy_preview_complete").wait(repositoryName="app")
    shown = api.get_lifecycle_policy_preview(**preview)
    assert [r["imageDigest"] for r in shown["previewResults"]] == [old]
    assert shown["summary"]["expiringImageTotalCount"] == 1
    assert code(api.get_lifecycle_policy, **preview) == "LifecyclePolicyNotFoundException"
    api.put_lifecycle_policy(**preview, lifecyclePolicyText=json.dumps(POLICY))
    assert json.loads(api.get_lifecycle_policy(**preview)["lifecyclePolicyText"]) == POLICY
    assert {i["imageDigest"] for i in api.list_images(**preview)["imageIds"]} == {old, new, kept}
    wrong = {**preview, "lifecyclePolicyText": '{"rules": []' + " " * 100 + "}"}
    assert code(api.put_lifecycle_policy, **wrong) == "InvalidParameterException"
    api.delete_lifecycle_policy(**preview)
    assert code(api.get_lifecycle_policy, **preview) == "LifecyclePolicyNotFoundException"


def test_lifecycle_policies_expire(installation: Installation, api: Any) -> None:
    from havre.services.ecr.reconcile.expiry import Expiry

    put(api, "app", None, b"old")
    installation.running.offset = 60
    new = put(api, "app", None, b"new")
    api.put_lifecycle_policy(repositoryName="app", lifecyclePolicyText=json.dumps(POLICY))
    installation.running.offset = 7200
    expiry = Expiry(installation.running.store, installation.running.world)
    installation.running.wait(_settle(installation, expiry))
    installation.running.offset = 0
    assert [i["imageDigest"] for i in api.list_images(repositoryName="app")["imageIds"]] == [new]


async def _settle(installation: Installation, reconciler: Any) -> None:
    from havre.control.runner import Runner

    runner = Runner([reconciler], installation.running.store, installation.running.world)
    for _ in range(20):
        if not await runner.step():
            return


def test_pushes_wake_lifecycle_policies_where_there_are_some(installation: Installation, api: Any) -> None:
    from havre.services.ecr.reconcile.expiry import Expiry

    store = installation.running.store
    changes, expiry = store.subscribe(Expiry.watches), Expiry(store, installation.running.world)
    put(api, "app", "first")
    api.put_lifecycle_policy(repositoryName="app", lifecyclePolicyText=json.dumps(POLICY))
    place = installation.place("app")
    assert [expiry.keys_of(c) for c in changes.gathered() if c.key.kind == "ecr.repository"] == [(place,)]
    put(api, "app", "second", b"other")
    pushed = changes.gathered()
    assert {c.key.kind for c in pushed} == {"ecr.image", "ecr.tag"}
    assert all(list(expiry.keys_of(c)) == [place] for c in pushed)
    api.delete_lifecycle_policy(repositoryName="app")
    changes.gathered()
    put(api, "app", "third")
    assert [key for c in changes.gathered() for key in expiry.keys_of(c)] == []
