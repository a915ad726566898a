"""The registry as docker, skopeo and the AWS APIs use it, by the very URI that CreateRepository gave."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.images import own

from .conftest import Instance, Starter, eventually, kill

pytestmark = [pytest.mark.docker, pytest.mark.root]
IMAGE = own("havre-test-registry")


def _run(*command: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    given = {**os.environ, **environment}
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=300, check=False, env=given)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Two images that differ, of busybox; nothing is pulled."""
    names = (f"{IMAGE}:one", f"{IMAGE}:two")
    for name in names:
        where = tmp_path_factory.mktemp("image")
        (where / "busybox").write_bytes(Path("/bin/busybox").read_bytes())
        (where / "busybox").chmod(0o755)
        (where / "said").write_text(name)
        (where / "Dockerfile").write_text('FROM scratch\nCOPY busybox said /\nCMD ["/busybox", "cat", "/said"]\n')
        built = _run("docker", "build", "-q", "-t", name, str(where), DOCKER_BUILDKIT="0")
        assert built.returncode == 0, built.stderr
    yield names
    _run("docker", "rmi", "-f", *names)


class User:
    """Somebody with a docker of his own (its login), and AWS clients."""

    def __init__(self, instance: Instance, config: Path, keys: dict[str, str] | None = None) -> None:
        self.instance = instance
        self.config = str(config)
        self.keys = keys or {}

    def client(self, service: str, region: str = "us-east-1") -> Any:
        return self.instance.client(service, **self.keys, region_name=region)

    def password(self, region: str = "us-east-1") -> str:
        token = self.client("ecr", region).get_authorization_token()["authorizationData"][0]["authorizationToken"]
        return base64.b64decode(token).decode().partition(":")[2]

    def login(self, uri: str, region: str = "us-east-1") -> None:
        where = ["login", "-u", "AWS", "--password-stdin", uri.split("/")[0]]
        done = self.docker(*where, stdin=self.password(region))
        assert done.returncode == 0, done.stderr

    def docker(self, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return _run("docker", "--config", self.config, *command, stdin=stdin)

    def push(self, image: str, reference: str) -> subprocess.CompletedProcess[str]:
        assert self.docker("tag", image, reference).returncode == 0
        try:
            return self.docker("push", reference)
        finally:
            self.docker("rmi", reference)


@pytest.fixture
def root(shared: Instance, tmp_path: Path) -> User:
    return User(shared, tmp_path / "docker")


@pytest.fixture
def user(shared: Instance, root: User, tmp_path: Path) -> Iterator[User]:
    """May log in, and nothing else."""
    iam = root.client("iam")
    iam.create_user(UserName="puller")
    made = iam.create_access_key(UserName="puller")["AccessKey"]
    _allow(iam, "login", "ecr:GetAuthorizationToken", "*")
    keys = {"aws_access_key_id": made["AccessKeyId"], "aws_secret_access_key": made["SecretAccessKey"]}
    yield User(shared, tmp_path / "puller", keys)
    for name in iam.list_user_policies(UserName="puller")["PolicyNames"]:
        iam.delete_user_policy(UserName="puller", PolicyName=name)
    iam.delete_access_key(UserName="puller", AccessKeyId=made["AccessKeyId"])
    iam.delete_user(UserName="puller")


def _allow(iam: Any, name: str, actions: str | list[str], resource: str, effect: str = "Allow") -> None:
    statement = {"Effect": effect, "Action": actions, "Resource": resource}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="puller", PolicyName=name, PolicyDocument=document)


def _create(who: User, name: str, region: str = "us-east-1", **more: Any) -> str:
    made = who.client("ecr", region).create_repository(repositoryName=name, **more)["repository"]
    return str(made["repositoryUri"])


PULL = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]


def test_push_describe_pull_run(root: User, images: tuple[str, str]) -> None:
    uri = _create(root, "team/hello")
    root.login(uri)
    pushed = root.push(images[0], f"{uri}:v1")
    assert pushed.returncode == 0, pushed.stderr
    ecr = root.client("ecr")
    (detail,) = ecr.describe_images(repositoryName="team/hello")["imageDetails"]
    assert detail["imageTags"] == ["v1"]
    assert detail["imageDigest"] in pushed.stdout
    manifest = ecr.batch_get_image(repositoryName="team/hello", imageIds=[{"imageTag": "v1"}])["images"][0]
    assert f"sha256:{hashlib.sha256(manifest['imageManifest'].encode()).hexdigest()}" == detail["imageDigest"]
    try:
        ran = root.docker("run", "--rm", "--network", "none", f"{uri}@{detail['imageDigest']}")
        assert ran.stdout == images[0], ran.stderr
    finally:
        root.docker("rmi", f"{uri}@{detail['imageDigest']}")
    eventually(
        lambda: "lastRecordedPullTime" in ecr.describe_images(repositoryName="team/hello")["imageDetails"][0], 20
    )


def test_another_region_has_a_registry_of_its_own(root: User, images: tuple[str, str]) -> None:
    here, there = _create(root, "twice"), _create(root, "twice", "eu-west-1")
    assert here.split("/")[0] != there.split("/")[0]
    root.login(there, "eu-west-1")
    assert root.push(images[0], f"{there}:v1").returncode == 0
    assert root.client("ecr").list_images(repositoryName="twice")["imageIds"] == []
    assert len(root.client("ecr", "eu-west-1").list_images(repositoryName="twice")["imageIds"]) == 1


def test_skopeo_copies_between_repositories(root: User, images: tuple[str, str]) -> None:
    source, target = _create(root, "copy/source"), _create(root, "copy/target")
    root.login(source)
    assert root.push(images[0], f"{source}:v1").returncode == 0
    creds = f"AWS:{root.password()}"
    flags = ["--src-tls-verify=false", "--dest-tls-verify=false", f"--src-creds={creds}", f"--dest-creds={creds}"]
    copied = _run("skopeo", "copy", "-q", *flags, f"docker://{source}:v1", f"docker://{target}:v1")
    assert copied.returncode == 0, copied.stderr
    ecr = root.client("ecr")
    one, other = (ecr.describe_images(repositoryName=f"copy/{n}")["imageDetails"][0] for n in ("source", "target"))
    assert one["imageDigest"] == other["imageDigest"]


def test_pulls_and_pushes_need_leave(root: User, user: User, images: tuple[str, str]) -> None:
    uri = _create(root, "private/app")
    arn = "arn:aws:ecr:us-east-1:000000000000:repository/private/*"
    root.login(uri)
    assert root.push(images[0], f"{uri}:v1").returncode == 0
    user.login(uri)

    def pull() -> str:
        done = user.docker("pull", f"{uri}:v1")
        user.docker("rmi", f"{uri}:v1")
        return done.stderr

    assert "not authorized to perform: ecr:BatchGetImage" in pull()
    iam = root.client("iam")
    _allow(iam, "pull", PULL, arn)
    assert pull() == ""
    refused = user.push(images[1], f"{uri}:mine")
    assert "not authorized to perform: ecr:" in refused.stderr + refused.stdout
    _allow(iam, "never", "ecr:BatchGetImage", arn, "Deny")
    assert "explicit deny" in pull()
    iam.delete_user_policy(UserName="puller", PolicyName="never")
    iam.delete_user_policy(UserName="puller", PolicyName="pull")
    assert "not authorized" in pull()
    principal = {"AWS": "arn:aws:iam::000000000000:user/puller"}
    statement = {"Sid": "pull", "Effect": "Allow", "Principal": principal, "Action": PULL}
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    root.client("ecr").set_repository_policy(repositoryName="private/app", policyText=text)
    assert pull() == ""


def test_nobody_comes_in_without_a_login(root: User, tmp_path: Path, images: tuple[str, str]) -> None:
    uri = _create(root, "closed")
    stranger = User(root.instance, tmp_path / "stranger")
    refused = stranger.docker("pull", f"{uri}:v1")
    assert "no basic auth credentials" in refused.stderr or "Not Authorized" in refused.stderr, refused.stderr
    wrong = stranger.docker("login", "-u", "AWS", "--password-stdin", uri.split("/")[0], stdin="wrong")
    assert wrong.returncode != 0


def test_an_immutable_tag_stays_where_it_is(root: User, images: tuple[str, str]) -> None:
    uri = _create(root, "fixed", imageTagMutability="IMMUTABLE")
    root.login(uri)
    assert root.push(images[0], f"{uri}:v1").returncode == 0
    before = root.client("ecr").describe_images(repositoryName="fixed")["imageDetails"][0]["imageDigest"]
    assert root.push(images[0], f"{uri}:v1").returncode == 0
    refused = root.push(images[1], f"{uri}:v1")
    assert "immutable" in refused.stderr + refused.stdout
    ids = root.client("ecr").list_images(repositoryName="fixed", filter={"tagStatus": "TAGGED"})["imageIds"]
    assert ids == [{"imageDigest": before, "imageTag": "v1"}]


class Wire:
    """One connection to the registry, for what docker does not do."""

    def __init__(self, who: User, uri: str) -> None:
        self.name = uri.split("/", 1)[1]
        self.connection = http.client.HTTPConnection(uri.split("/")[0], timeout=30)
        self.login = {"Authorization": "Basic " + base64.b64encode(f"AWS:{who.password()}".encode()).decode()}

    def __call__(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        given = {**self.login, **{k.replace("_", "-"): v for k, v in headers.items()}}
        self.connection.request(method, path.replace("NAME", self.name), body, given)
        answer = self.connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()


def test_what_is_wrong_is_refused_and_changes_nothing(root: User) -> None:
    uri = _create(root, "strict")
    wire = Wire(root, uri)
    _, begun, _ = wire("POST", "/v2/NAME/blobs/uploads/")
    status, _, body = wire("PUT", f"{begun['location']}?digest=sha256:{'0' * 64}", b"content")
    assert (status, json.loads(body)["errors"][0]["code"]) == (400, "DIGEST_INVALID")
    assert wire("GET", begun["location"])[0] == 404
    digest = f"sha256:{hashlib.sha256(b'content').hexdigest()}"
    assert wire("HEAD", f"/v2/NAME/blobs/{digest}")[0] == 404
    for path in (
        "/v2/../../etc/passwd/blobs/uploads/",
        "/v2/NAME/blobs/..%2f..%2f..%2froot-credentials.json",
        "/v2/NAME/blobs/sha256:..%2f..%2fuploads",
        "/v2/%2e%2e/%2e%2e/manifests/latest",
        "/v2/NAME/blobs/uploads/..%2f..%2fstore.db",
    ):
        status, _, body = wire("GET", path)
        assert 400 <= status < 500, (path, status, body)
    wire("PUT", "/v2/NAME/manifests/bad", b'{"schemaVersion": 2', Content_Type="application/json")
    assert root.client("ecr").list_images(repositoryName="strict")["imageIds"] == []


def test_a_crash_in_the_middle_of_a_push_leaves_nothing_half_seen(havre: Starter, tmp_path: Path) -> None:
    instance = havre()
    who = User(instance, tmp_path / "docker")
    uri = _create(who, "crash")
    wire = Wire(who, uri)
    content = os.urandom(24 << 20)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    _, begun, _ = wire("POST", "/v2/NAME/blobs/uploads/")
    half = len(content) // 2
    status, patched, _ = wire("PATCH", begun["location"], content[:half], Content_Type="application/octet-stream")
    assert (status, patched["range"]) == (202, f"0-{half - 1}")
    _cut_off(wire, patched["location"], content[half:], instance)
    wire = Wire(who, uri)
    assert wire("HEAD", f"/v2/NAME/blobs/{digest}")[0] == 404
    assert list((instance.state / "registry" / "blobs" / "sha256").iterdir()) == []
    status, at, _ = wire("GET", patched["location"])
    assert status == 204
    kept = int(at["range"].partition("-")[2]) + 1
    assert kept >= half
    status, _, body = wire("PUT", f"{at['location']}?digest={digest}", content[kept:])
    assert status == 201, body
    assert wire("GET", f"/v2/NAME/blobs/{digest}")[2] == content
    kill(instance.run_file["pids"]["server"])
    eventually(lambda: _answers(instance))
    assert Wire(who, uri)("GET", f"/v2/NAME/blobs/{digest}")[2] == content


def _cut_off(wire: Wire, location: str, rest: bytes, instance: Instance) -> None:
    """Send most of a request, and kill the server while it waits for the last bytes."""
    host, port = wire.connection.host, wire.connection.port
    head = f"PATCH {location} HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: {wire.login['Authorization']}\r\n"
    with socket.create_connection((host, port), timeout=30) as sock:
        sock.sendall(f"{head}Content-Length: {len(rest)}\r\n\r\n".encode() + rest[:-10])
        kill(instance.run_file["pids"]["server"])
        with contextlib.suppress(ConnectionError):
            assert sock.recv(1) == b""
    eventually(lambda: _answers(instance))


def _answers(instance: Instance) -> bool:
    with contextlib.suppress(OSError):
        return bool(instance.get("/_havre/health")["status"] == "ok")
    return False


def test_deleted_images_are_gone_for_docker_too(root: User, images: tuple[str, str]) -> None:
    uri = _create(root, "gone")
    root.login(uri)
    assert root.push(images[0], f"{uri}:v1").returncode == 0
    ecr = root.client("ecr")
    with pytest.raises(ClientError) as full:
        ecr.delete_repository(repositoryName="gone")
    assert full.value.response["Error"]["Code"] == "RepositoryNotEmptyException"
    ecr.batch_delete_image(repositoryName="gone", imageIds=[{"imageTag": "v1"}])
    assert "not found" in root.docker("pull", f"{uri}:v1").stderr
    ecr.delete_repository(repositoryName="gone")
    assert root.push(images[0], f"{uri}:v1").returncode != 0
