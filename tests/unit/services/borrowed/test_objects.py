"""Objects as clients ask for them: ranges, conditions, checksums, chunks, several at once."""

from __future__ import annotations

import base64
import http.client
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from tests.lending import Lent
from tests.running_gateway import ACCOUNT, ROOT, code


@pytest.fixture(scope="module")
def lent(tmp_path_factory: Any) -> Iterator[Lent]:
    found = Lent(tmp_path_factory.mktemp("borrowed"))
    found.client("s3").create_bucket(Bucket="objects")
    yield found
    found.close()


def status(call: Any, **arguments: Any) -> int:
    try:
        return int(call(**arguments)["ResponseMetadata"]["HTTPStatusCode"])
    except ClientError as error:
        return int(error.response["ResponseMetadata"]["HTTPStatusCode"])


def test_ranges(lent: Lent) -> None:
    s3 = lent.client("s3")
    s3.put_object(Bucket="objects", Key="digits", Body=b"0123456789")
    got = s3.get_object(Bucket="objects", Key="digits", Range="bytes=2-4")
    assert (got["Body"].read(), got["ContentRange"], got["ContentLength"]) == (b"234", "bytes 2-4/10", 3)
    assert s3.get_object(Bucket="objects", Key="digits", Range="bytes=-3")["Body"].read() == b"789"
    assert s3.get_object(Bucket="objects", Key="digits", Range="bytes=7-")["Body"].read() == b"789"
    assert code(s3.get_object, Bucket="objects", Key="digits", Range="bytes=10-") == "InvalidRange"
    assert s3.head_object(Bucket="objects", Key="digits")["ContentLength"] == 10


def test_conditions(lent: Lent) -> None:
    s3 = lent.client("s3")
    etag = s3.put_object(Bucket="objects", Key="tagged", Body=b"v")["ETag"]
    assert status(s3.get_object, Bucket="objects", Key="tagged", IfNoneMatch=etag) == 304
    assert status(s3.get_object, Bucket="objects", Key="tagged", IfMatch='"other"') == 412
    assert status(s3.head_object, Bucket="objects", Key="tagged", IfNoneMatch=etag) == 304
    assert status(s3.put_object, Bucket="objects", Key="tagged", Body=b"w", IfNoneMatch="*") == 412
    assert s3.get_object(Bucket="objects", Key="tagged", IfMatch=etag)["Body"].read() == b"v"
    assert status(s3.put_object, Bucket="objects", Key="fresh", Body=b"w", IfNoneMatch="*") == 200


def test_conditions_of_changes(lent: Lent) -> None:
    s3 = lent.client("s3")
    etag = s3.put_object(Bucket="objects", Key="conditional", Body=b"v")["ETag"]
    assert status(s3.put_object, Bucket="objects", Key="conditional", Body=b"w", IfMatch='"other"') == 412
    assert status(s3.put_object, Bucket="objects", Key="conditional", Body=b"w", IfMatch=etag) == 200


def test_the_owner_that_is_expected(lent: Lent) -> None:
    s3 = lent.client("s3")
    s3.put_object(Bucket="objects", Key="owned", Body=b"v", ExpectedBucketOwner=ACCOUNT)
    assert code(s3.get_object, Bucket="objects", Key="owned", ExpectedBucketOwner="999999999999") == "AccessDenied"
    wrong = {"CopySource": "objects/owned", "ExpectedSourceBucketOwner": "999999999999"}
    assert code(s3.copy_object, Bucket="objects", Key="copied", **wrong) == "AccessDenied"
    secret = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    assert code(s3.put_object, Bucket="objects", Key="secret", Body=b"v", **secret) != "no error"
    assert code(s3.head_object, Bucket="objects", Key="secret") == "404"


def test_headers_that_are_no_text(lent: Lent) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", lent.port, timeout=60)
    request = AWSRequest("PUT", f"{lent.url}/objects/odd", {}, b"odd")
    S3SigV4Auth(Credentials(ROOT.access_key, ROOT.secret), "s3", "us-east-1").add_auth(request)
    connection.request("PUT", "/objects/odd", b"odd", {**dict(request.headers.items()), "x-amz-meta-odd": "\xff\xfe"})
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    connection.close()


def test_several_at_once(lent: Lent) -> None:
    s3 = lent.client("s3")
    for number in range(3):
        s3.put_object(Bucket="objects", Key=f"many/{number}", Body=b"x")
    gone = s3.delete_objects(Bucket="objects", Delete={"Objects": [{"Key": f"many/{n}"} for n in range(2)]})["Deleted"]
    assert [each["Key"] for each in gone] == ["many/0", "many/1"]
    page = s3.list_objects_v2(Bucket="objects", Prefix="many/", Delimiter="/")
    assert [each["Key"] for each in page["Contents"]] == ["many/2"]


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_checksums_are_those_of_the_content(lent: Lent, algorithm: str) -> None:
    from awscrt import checksums

    s3 = lent.client("s3")
    expected = {"CRC32": zlib.crc32(b"sum").to_bytes(4, "big"), "CRC32C": checksums.crc32c(b"sum").to_bytes(4, "big")}
    expected["CRC64NVME"] = checksums.crc64nvme(b"sum").to_bytes(8, "big")
    s3.put_object(Bucket="objects", Key=algorithm, Body=b"sum", ChecksumAlgorithm=algorithm)
    got = s3.get_object(Bucket="objects", Key=algorithm, ChecksumMode="ENABLED")
    assert got["Body"].read() == b"sum"
    if algorithm in expected:
        assert got[f"Checksum{algorithm}"] == base64.b64encode(expected[algorithm]).decode()


def test_an_object_without_versions_is_version_null(lent: Lent) -> None:
    """rclone looks at what it has put by the version that it was told of, if it was told of one."""
    s3 = lent.client("s3")
    made = s3.create_multipart_upload(Bucket="objects", Key="parts-null")["UploadId"]
    part = s3.upload_part(Bucket="objects", Key="parts-null", UploadId=made, PartNumber=1, Body=b"p")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    done = s3.complete_multipart_upload(Bucket="objects", Key="parts-null", UploadId=made, MultipartUpload=parts)
    assert "VersionId" not in done
    assert s3.head_object(Bucket="objects", Key="parts-null", VersionId="null")["ContentLength"] == 1
    assert status(s3.head_object, Bucket="objects", Key="parts-null", VersionId="other") == 400


def test_a_region_that_is_none_is_told_the_right_one(lent: Lent) -> None:
    """s3cmd signs for "US" first, and then for the region that it is told."""
    here = lent.client("s3", region="US")
    with pytest.raises(ClientError) as told:
        here.list_buckets()
    error: Any = told.value.response["Error"]
    assert (error["Code"], error["Region"]) == ("AuthorizationHeaderMalformed", "us-east-1")
    assert error["Message"].endswith("the region 'US' is wrong; expecting 'us-east-1'")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(here.generate_presigned_url("get_object", {"Bucket": "objects", "Key": "k"}))
    assert b"<Code>AuthorizationQueryParametersError</Code>" in refused.value.read()


def test_a_body_that_is_not_what_it_says(lent: Lent) -> None:
    s3 = lent.client("s3")
    right, wrong = base64.b64encode(zlib.crc32(b"v").to_bytes(4, "big")).decode(), base64.b64encode(bytes(4)).decode()
    assert code(s3.put_object, Bucket="objects", Key="sum", Body=b"v", ChecksumCRC32=wrong) == "BadDigest"
    assert code(s3.head_object, Bucket="objects", Key="sum") == "404"
    assert code(s3.put_object, Bucket="objects", Key="sum", Body=b"v", ChecksumCRC32=right) == "no error"
    md5 = base64.b64encode(bytes(16)).decode()
    assert code(s3.put_object, Bucket="objects", Key="md5", Body=b"v", ContentMD5=md5) == "BadDigest"


def test_large_objects_in_parts(lent: Lent) -> None:
    s3 = lent.client("s3")
    upload = s3.create_multipart_upload(Bucket="objects", Key="large")["UploadId"]
    where = {"Bucket": "objects", "Key": "large", "UploadId": upload}
    bodies = [b"a" * (5 << 20), b"b" * (5 << 20), b"end"]
    etags = [s3.upload_part(**where, PartNumber=n, Body=body)["ETag"] for n, body in enumerate(bodies, 1)]
    assert [part["Size"] for part in s3.list_parts(**where)["Parts"]] == [len(body) for body in bodies]
    parts = [{"PartNumber": n, "ETag": etag} for n, etag in enumerate(etags, 1)]
    done = s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
    assert done["ETag"].endswith('-3"')
    assert s3.get_object(Bucket="objects", Key="large")["Body"].read() == b"".join(bodies)
    seam = s3.get_object(Bucket="objects", Key="large", Range=f"bytes={(5 << 20) - 2}-{(5 << 20) + 1}")
    assert seam["Body"].read() == b"aabb"
    assert code(s3.list_parts, **where) == "NoSuchUpload"
    another = s3.create_multipart_upload(Bucket="objects", Key="small parts")["UploadId"]
    where = {"Bucket": "objects", "Key": "small parts", "UploadId": another}
    etags = [s3.upload_part(**where, PartNumber=n, Body=b"tiny")["ETag"] for n in (1, 2)]
    parts = [{"PartNumber": n, "ETag": etag} for n, etag in enumerate(etags, 1)]
    assert code(s3.complete_multipart_upload, **where, MultipartUpload={"Parts": parts}) == "EntityTooSmall"
    assert s3.abort_multipart_upload(**where)["ResponseMetadata"]["HTTPStatusCode"] == 204


class Chunked(S3SigV4Auth):
    def payload(self, request: Any) -> str:
        return "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


def test_chunks_with_a_checksum_behind_them(lent: Lent) -> None:
    """As the SDKs of other languages send streams."""
    checksum = base64.b64encode(zlib.crc32(b"chunked content").to_bytes(4, "big")).decode()
    body = f"7\r\nchunked\r\n8\r\n content\r\n0\r\nx-amz-checksum-crc32:{checksum}\r\n\r\n".encode()
    headers = {
        "content-encoding": "aws-chunked",
        "x-amz-decoded-content-length": "15",
        "x-amz-trailer": "x-amz-checksum-crc32",
        "x-amz-sdk-checksum-algorithm": "CRC32",
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "content-type": "application/x-www-form-urlencoded",
    }
    request = AWSRequest("PUT", f"{lent.url}/objects/chunked", headers, body)
    Chunked(Credentials(ROOT.access_key, ROOT.secret), "s3", "us-east-1").add_auth(request)
    connection = http.client.HTTPConnection("127.0.0.1", lent.port, timeout=60)
    connection.request("PUT", "/objects/chunked", body, dict(request.headers.items()))
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"")
    connection.close()
    got = lent.client("s3").get_object(Bucket="objects", Key="chunked")
    assert got["Body"].read() == b"chunked content"
    assert got["ContentType"] == "application/x-www-form-urlencoded" and not got.get("ContentEncoding")


def test_a_bucket_in_the_host(lent: Lent) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", lent.port, timeout=60)
    for method, path, body in (
        ("PUT", "/in%20host", b"virtual"),
        ("GET", "/in%20host", b""),
        ("GET", "/?list-type=2", b""),
    ):
        url = f"http://objects.s3.localhost:{lent.port}{path}"
        request = AWSRequest(method, url, {}, body)
        S3SigV4Auth(Credentials(ROOT.access_key, ROOT.secret), "s3", "us-east-1").add_auth(request)
        headers = {**dict(request.headers.items()), "Host": f"objects.s3.localhost:{lent.port}"}
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        read = answer.read()
        assert answer.status == 200, read
    assert b"<Key>in host</Key>" in read
    connection.close()


def test_what_infrastructure_tools_ask_of_a_bucket(lent: Lent) -> None:
    """Each is answered, or refused as S3 refuses what is not there."""
    s3 = lent.client("s3")
    s3.create_bucket(Bucket="inspected")
    assert s3.get_bucket_request_payment(Bucket="inspected")["Payer"] == "BucketOwner"
    for name, expected in (
        ("get_bucket_website", "NoSuchWebsiteConfiguration"),
        ("get_bucket_replication", "ReplicationConfigurationNotFoundError"),
        ("get_bucket_cors", "NoSuchCORSConfiguration"),
        ("get_bucket_policy", "NoSuchBucketPolicy"),
        ("get_bucket_tagging", "NoSuchTagSet"),
        ("get_bucket_lifecycle_configuration", "NoSuchLifecycleConfiguration"),
        ("get_object_lock_configuration", "ObjectLockConfigurationNotFoundError"),
        ("get_bucket_acl", "no error"),
        ("get_bucket_versioning", "no error"),
        ("get_bucket_logging", "no error"),
        ("get_bucket_accelerate_configuration", "no error"),
        ("get_bucket_location", "no error"),
        ("get_bucket_encryption", "no error"),
    ):
        assert (name, code(getattr(s3, name), Bucket="inspected")) == (name, expected)
    assert code(s3.get_bucket_request_payment, Bucket="nowhere") == "NoSuchBucket"


def test_keys_of_every_kind(lent: Lent) -> None:
    s3 = lent.client("s3")
    for key in ("a+b", "per%cent", "ünïcode/日本", "double//slash", "trailing/", "q?x=1&y#z", "sp ace", "'quote\""):
        s3.put_object(Bucket="objects", Key=key, Body=key.encode(), Metadata={"key_with_underscore": "1"})
        got = s3.get_object(Bucket="objects", Key=key)
        assert got["Body"].read() == key.encode() and got["Metadata"] == {"key_with_underscore": "1"}
        assert s3.head_object(Bucket="objects", Key=key)["ContentLength"] == len(key.encode())
        s3.delete_object(Bucket="objects", Key=key)
        assert code(s3.head_object, Bucket="objects", Key=key) == "404"


def test_browsers_ask_before(lent: Lent) -> None:
    rule = {
        "AllowedMethods": ["PUT", "GET"],
        "AllowedOrigins": ["https://*.example.com"],
        "AllowedHeaders": ["content-type", "x-amz-*"],
        "ExposeHeaders": ["ETag"],
        "MaxAgeSeconds": 60,
    }
    s3 = lent.client("s3")
    s3.create_bucket(Bucket="crossed")
    ask = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "PUT"}
    assert _options(lent, "/crossed/key", ask)[0] == 403
    s3.put_bucket_cors(Bucket="crossed", CORSConfiguration={"CORSRules": [rule]})
    status, headers = _options(
        lent, "/crossed/key", {**ask, "Access-Control-Request-Headers": "Content-Type, x-amz-acl"}
    )
    assert (status, headers["access-control-allow-origin"]) == (200, "https://app.example.com")
    assert headers["access-control-allow-headers"] == "content-type, x-amz-acl"
    assert (headers["access-control-max-age"], headers["access-control-expose-headers"]) == ("60", "ETag")
    for other in (
        {"Origin": "https://example.org"},
        {"Access-Control-Request-Method": "DELETE"},
        {"Access-Control-Request-Headers": "authorization"},
    ):
        assert _options(lent, "/crossed/key", {**ask, **other})[0] == 403
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "crossed", "Key": "key"})
    s3.put_object(Bucket="crossed", Key="key", Body=b"v")
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Origin": "https://app.example.com"})) as answer:
        assert answer.headers["access-control-allow-origin"] == "https://app.example.com" and answer.read() == b"v"


def _options(lent: Lent, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", lent.port, timeout=60)
    connection.request("OPTIONS", path, headers=headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}
