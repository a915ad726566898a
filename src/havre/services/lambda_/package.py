"""Where code comes from: the request itself, S3, a directory of this machine, an image of the registry."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import os
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from havre.control.images.addresses import address_of
from havre.control.operation import Call, Site
from havre.kernel.errors import ApiError
from havre.kernel.function import Code
from havre.services.lambda_.errors import absent, invalid
from havre.services.lambda_.facilities import Facilities
from havre.services.lambda_.rules import archives

HOT_RELOAD = "hot-reload"
"""The bucket whose keys are directories of this machine."""
_AMAZON = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.[a-z0-9.-]+")
_SINGLE = ("application/vnd.docker.distribution.manifest.v2+json", "application/vnd.oci.image.manifest.v1+json")
_LARGE = 1 << 20
_ARCHIVE_MEMBERS = ("ZipFile", "S3Bucket", "S3Key", "S3ObjectVersion")


class Package(msgspec.Struct, frozen=True):
    """Code that was looked at and is not kept yet. ``data`` is the archive, None where there is none; ``unzipped`` its size
    unpacked; ``image_uri`` as it was named; ``key`` is that of KMS by which it is encrypted."""

    code: Code
    unzipped: int = 0
    data: bytes | None = None
    image_uri: str = ""
    key: str = ""


async def fetch(call: Call, given: Mapping[str, Any], kind: str, doing: str) -> Package:
    """``given`` has the members of FunctionCode, ``kind`` is the PackageType; ``doing``: creating or updating. Raises
    ApiError."""
    if kind == "Image":
        if any(given.get(member) for member in _ARCHIVE_MEMBERS) or not given.get("ImageUri"):
            raise invalid(f"Please provide ImageUri when {doing} a function with packageType Image.")
        return await _image(call, given["ImageUri"])
    if given.get("ImageUri"):
        raise invalid(f"Please don't provide ImageUri when {doing} a function with packageType Zip.")
    return await fetch_archive(call, given)


async def fetch_archive(call: Call, given: Mapping[str, Any]) -> Package:
    """Raises ApiError."""
    if given.get("S3ObjectStorageMode", "COPY") != "COPY":
        raise absent(f"code with S3ObjectStorageMode {given['S3ObjectStorageMode']}")
    data = given.get("ZipFile")
    if data is not None:
        if given.get("S3Bucket") or given.get("S3Key"):
            raise invalid("Please do not provide other FunctionCode parameters when providing a ZipFile.")
        if len(data) > archives.ZIPPED:
            raise ApiError(
                "RequestEntityTooLargeException", f"Zipped size must be smaller than {archives.ZIPPED} bytes", 413
            )
        return await _looked_at(data)
    if not given.get("S3Bucket") or not given.get("S3Key"):
        raise invalid("Please provide a source for function code.")
    if given["S3Bucket"] == HOT_RELOAD:
        path = _resolved(given["S3Key"])
        await call.authorize("s3:GetObject", [f"arn:aws:s3:::{HOT_RELOAD}{path}"], {})
        return Package(_directory(call, path))
    return await _looked_at(await _object(call, given))


async def keep(facilities: Facilities, package: Package) -> None:
    """Its archive is durable when this returns. Raises Temporary."""
    if package.data is not None:
        await facilities.open_code().put(package.data)


async def _looked_at(data: bytes) -> Package:
    """A large one beside the loop: its digest alone takes a while."""
    return await asyncio.to_thread(_archive, data) if len(data) > _LARGE else _archive(data)


def _archive(data: bytes) -> Package:
    unzipped = archives.unzipped_size(data)
    return Package(Code("zip", hashlib.sha256(data).hexdigest(), size=len(data)), unzipped, data)


# S3


async def _object(call: Call, given: Mapping[str, Any]) -> bytes:
    """As the caller, who must be allowed to read it."""
    bucket, key = given["S3Bucket"], given["S3Key"]
    request = {"Bucket": bucket, "Key": key}
    if given.get("S3ObjectVersion"):
        request["VersionId"] = given["S3ObjectVersion"]
    try:
        answer = await call.aws("s3", "GetObject", request)
    except ApiError as error:
        raise _refused(error, bucket, key) from None
    if (answer.get("ContentLength") or 0) > archives.UNZIPPED:
        raise archives.too_large()
    return await _read(answer["Body"])


async def _read(body: bytes | AsyncIterator[bytes]) -> bytes:
    if isinstance(body, bytes | bytearray):
        return bytes(body)
    data = bytearray()
    async for piece in body:
        data += piece
        if len(data) > archives.UNZIPPED:
            raise archives.too_large()
    return bytes(data)


def _refused(error: ApiError, bucket: str, key: str) -> ApiError:
    told = f"S3 Error Code: {error.code}. S3 Error Message: {error.message}"
    if error.code in ("AccessDenied", "AccessDeniedException"):
        return ApiError(
            "AccessDeniedException",
            "Your access has been denied by S3, please make sure your request credentials have permission to GetObject for "
            f"{bucket}/{key}. {told}",
            403,
        )
    if error.status is not None and error.status >= 500:
        return error
    return invalid(f"Error occurred while GetObject. {told}")


# Directories


def _resolved(path: str) -> str:
    """Where it leads, which is what policies are asked about. Raises ApiError for what is no absolute path."""
    if not path.startswith("/") or "\0" in path:
        raise _no_directory(path)
    return os.path.realpath(path)


def _no_directory(path: str) -> ApiError:
    return invalid(f"Code from a directory (S3Bucket hot-reload): S3Key {path} is not an absolute path of a directory.")


def _directory(call: Call, path: str) -> Code:
    """Only for the installation's own account, on a site that none but this machine reaches: whoever may create functions
    could read everything that Havre can."""
    if not _local(call.site) or call.account != call.site.account:
        raise invalid(
            "Code from a directory (S3Bucket hot-reload) is for the installation's own account, and only while Havre "
            "listens on a loopback address."
        )
    if not Path(path).is_dir():
        raise _no_directory(path)
    return Code("directory", path=path)


def _local(site: Site) -> bool:
    if site.host == "localhost":
        return True
    try:
        return ipaddress.ip_address(site.host).is_loopback
    except ValueError:
        return False


# Images


async def _image(call: Call, uri: str) -> Package:
    assert call.as_service is not None
    host, _, rest = uri.partition("/")
    _check_registry(call, uri, host)
    repository, at, digest = rest.partition("@")
    tag = ""
    if not at:
        repository, _, tag = rest.partition(":")
    if not repository or (at and not digest):
        raise _invalid_image(uri)
    wanted = {"imageDigest": digest} if digest else {"imageTag": tag or "latest"}
    try:
        ecr = call.as_service("lambda.amazonaws.com")
        answer = await ecr("ecr", "DescribeImages", {"repositoryName": repository, "imageIds": [wanted]})
    except ApiError as error:
        if error.status is not None and error.status >= 500:
            raise
        raise invalid(f"Source image {uri} does not exist. Provide a valid source image.") from None
    found = answer["imageDetails"][0]
    if found.get("imageManifestMediaType") not in _SINGLE:
        raise invalid(f"The image manifest, config or layer media type for the source image {uri} is not supported.")
    address = address_of(call.store, call.site, call.account, call.region)
    pulled = f"{address}:{call.site.port}/{repository}@{found['imageDigest']}"
    return Package(Code("image", found["imageDigest"], image=pulled), image_uri=uri)


def _check_registry(call: Call, uri: str, host: str) -> None:
    """The registry of this account and region, by either of its names."""
    amazon = _AMAZON.fullmatch(host)
    if amazon:
        if amazon[1] != call.account:
            raise ApiError(
                "AccessDeniedException",
                "Lambda does not have permission to access the ECR image. Check the ECR permissions.",
                403,
            )
        if amazon[2] != call.region:
            raise _invalid_image(uri)
        return
    name, _, port = host.rpartition(":")
    own = {address_of(call.store, call.site, call.account, call.region)}
    if "127.0.0.1" in own:
        own.add("localhost")
    if name not in own or port != str(call.site.port):
        raise _invalid_image(uri)


def _invalid_image(uri: str) -> ApiError:
    return invalid(f"Source image {uri} is not valid. Provide a valid source image.")
