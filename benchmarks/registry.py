"""The registry beside docker-registry 2.8.2: blobs large and small, manifests, and skopeo, pushed and pulled.

Havre runs as users run it, with logins checked and IAM before each request; docker-registry asks nobody. Every round
pushes bytes that neither has seen, and pulls what it has just pushed.

A round goes through all parts, each of them on both sides in turn, and the next round through all of them again: a minute in
which the machine is busy with something else, or its host slow to hand out memory, costs each part a round, not one part
most of its rounds. Short measurements are of noise only, so manifests go by the hundred, and one blob is pulled four times.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks._harness import Promise, finish, rounds
from benchmarks._peers import ROOT, free_port, havre

MIB = 1 << 20
WORKERS = 8
REPOSITORY = "bench/images"
OCI_IMAGE = "application/vnd.oci.image.manifest.v1+json"


class Target:
    """A registry under measurement."""

    def __init__(self, address: str, login: str = "") -> None:
        self.address = address
        host, port = address.split(":")
        self.where = (host, int(port))
        self.login = login
        self.head = f"Host: {address}\r\n"
        if login:
            self.head += f"Authorization: Basic {base64.b64encode(login.encode()).decode()}\r\n"


class Connection:
    """HTTP/1.1 over a bare socket, so that the client costs as little as it can."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.socket = socket.create_connection(target.where)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray(MIB)

    def __call__(self, method: str, path: str, body: bytes = b"", kind: str = "application/octet-stream") -> str:
        """The Location header. Raises AssertionError for another status than one of success."""
        length = f"Content-Length: {len(body)}\r\n" if method in ("POST", "PUT", "PATCH") else ""
        head = (
            f"{method} {path} HTTP/1.1\r\n{self.target.head}Content-Type: {kind}\r\nAccept: {OCI_IMAGE}\r\n{length}\r\n"
        )
        if len(body) < 65536:
            self.socket.sendall(head.encode() + body)
        else:
            self.socket.sendall(head.encode())
            self.socket.sendall(body)
        return self._answer(method)

    def _answer(self, method: str) -> str:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = self.socket.recv(65536)
            assert piece, "the server closed the connection"
            data += piece
        head, _, rest = data.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        assert first.split()[1][:1] == b"2", data[:400]
        headers = {k.lower(): v.strip() for k, v in (line.split(b":", 1) for line in lines)}
        left = 0 if method == "HEAD" else int(headers.get(b"content-length", b"0")) - len(rest)
        while left > 0:
            got = self.socket.recv_into(self.buffer)
            assert got, "the server closed the connection"
            left -= got
        location = headers.get(b"location", b"").decode()
        return location.split(self.target.address, 1)[-1]


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def fresh(count: int, size: int) -> list[tuple[str, bytes]]:
    """Blobs that nobody has seen, with their digests."""
    base = os.urandom(min(size, MIB)) * max(size // MIB, 1)
    blobs = [os.urandom(16) + base[16:size] for _ in range(count)]
    return [(digest(b), b) for b in blobs]


def push_blob(connection: Connection, name: str, content: bytes) -> None:
    location = connection("POST", f"/v2/{REPOSITORY}/blobs/uploads/")
    connection("PUT", f"{location}{'&' if '?' in location else '?'}digest={name}", content)


def side_by_side(target: Target, jobs: Sequence[Callable[[Connection], None]], workers: int = WORKERS) -> float:
    """Jobs a second."""
    waiting = iter(jobs)
    lock = threading.Lock()
    failures: list[BaseException] = []
    ready = threading.Barrier(workers + 1)

    def work() -> None:
        connection = Connection(target)
        ready.wait()
        try:
            while True:
                with lock:
                    job = next(waiting, None)
                if job is None:
                    return
                job(connection)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    ready.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    if failures:
        raise failures[0]
    return len(jobs) / took


def blobs(target: Target, count: int, size: int, workers: int = WORKERS, times: int = 1) -> tuple[float, float]:
    """(pushed, pulled) a second; each is pulled so many times."""
    contents = fresh(count, size)
    pushed = side_by_side(target, [lambda c, b=b: push_blob(c, *b) for b in contents], workers)
    paths = [f"/v2/{REPOSITORY}/blobs/{name}" for name, _ in contents] * times
    return pushed, side_by_side(target, [lambda c, p=p: c("GET", p) for p in paths], workers)


def manifests(target: Target, count: int) -> tuple[float, float]:
    """(pushed, pulled by tag) a second."""
    config = fresh(1, 600)[0]
    layers = fresh(5, 2000)
    side_by_side(target, [lambda c, b=b: push_blob(c, *b) for b in (config, *layers)])
    contents = [_manifest(config, layers, {"n": str(i)}) for i in range(count)]
    paths = [f"/v2/{REPOSITORY}/manifests/t{i}" for i in range(count)]
    put = [lambda c, p=p, m=m: c("PUT", p, m, OCI_IMAGE) for p, m in zip(paths, contents, strict=True)]
    pushed = side_by_side(target, put)
    return pushed, side_by_side(target, [lambda c, p=p: c("GET", p) for p in paths])


def _manifest(
    config: tuple[str, bytes], layers: Sequence[tuple[str, bytes]], annotations: dict[str, str] | None = None
) -> bytes:
    def described(kind: str, blob: tuple[str, bytes]) -> dict[str, object]:
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": blob[0], "size": len(blob[1])}

    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_IMAGE,
            "config": described("config.v1+json", config),
            "layers": [described("layer.v1.tar", each) for each in layers],
            "annotations": annotations or {},
        }
    ).encode()


@contextlib.contextmanager
def layout(layers: int, size: int) -> Iterator[Path]:
    """An OCI layout on disk, of bytes that nobody has seen."""
    root = Path(tempfile.mkdtemp(prefix="havre-bench-oci-"))
    directory = root / "blobs" / "sha256"
    directory.mkdir(parents=True)
    blobs = fresh(layers, size)
    config_text = {
        "os": "linux",
        "architecture": "amd64",
        "rootfs": {"type": "layers", "diff_ids": [n for n, _ in blobs]},
    }
    raw = json.dumps(config_text).encode()
    config = (digest(raw), raw)
    manifest = _manifest(config, blobs)
    described = {"mediaType": OCI_IMAGE, "digest": digest(manifest), "size": len(manifest)}
    for name, content in (*blobs, config, (digest(manifest), manifest)):
        (directory / name.removeprefix("sha256:")).write_bytes(content)
    (root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (root / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [described]}))
    try:
        yield root
    finally:
        shutil.rmtree(root)


def skopeo(target: Target, layers: int, size: int) -> tuple[float, float]:
    """Seconds that a push and a pull take."""
    image = f"docker://{target.address}/{REPOSITORY}:skopeo"
    with layout(layers, size) as source:
        creds = [f"--dest-creds={target.login}"] if target.login else []
        push = _timed("skopeo", "copy", "-q", "--dest-tls-verify=false", *creds, f"oci:{source}", image)
        creds = [f"--src-creds={target.login}"] if target.login else []
        pulled = source / "pulled"
        pull = _timed("skopeo", "copy", "-q", "--src-tls-verify=false", *creds, image, f"dir:{pulled}")
    return push, pull


def _timed(*command: str) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


@contextlib.contextmanager
def docker_registry() -> Iterator[Target]:
    state = Path(tempfile.mkdtemp(prefix="havre-bench-dr-"))
    address = f"127.0.0.1:{free_port()}"
    settings = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(state / "data")}},
        "http": {"addr": address},
    }
    (state / "config.yml").write_text(json.dumps(settings))  # JSON is YAML
    process = subprocess.Popen(["docker-registry", "serve", str(state / "config.yml")], stderr=subprocess.DEVNULL)
    target = Target(address)
    try:
        _wait(target)
        yield target
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(state)


def _wait(target: Target) -> None:
    deadline = time.perf_counter() + 30
    while time.perf_counter() < deadline:
        with contextlib.suppress(OSError):
            Connection(target)("GET", "/v2/")
            return
        time.sleep(0.02)
    raise RuntimeError("docker-registry does not answer")


@contextlib.contextmanager
def ours() -> Iterator[Target]:
    with havre() as running:
        aws = [str(ROOT / ".venv/bin/aws"), "ecr", "--output", "text"]
        create = [*aws, "create-repository", "--repository-name", REPOSITORY]
        subprocess.run(create, env=running.env, check=True, stdout=subprocess.DEVNULL)
        token = subprocess.run([*aws, "get-login-password"], env=running.env, check=True, capture_output=True).stdout
        yield Target(f"127.0.0.1:{running.port}", f"AWS:{token.decode().strip()}")


class Part:
    """``measure`` gives a figure for each of ``promises``, which are (name, unit, target)."""

    def __init__(self, measure: Callable[[Target], Sequence[float]], *promises: tuple[str, str, str]) -> None:
        self.measure = measure
        self.promises = [Promise(f"registry: {n}", unit, to, "docker-registry 2.8.2") for n, unit, to in promises]

    def round(self, mine: Target, theirs: Target, number: int) -> None:
        """Who begins changes from round to round. The first one warms up and does not count."""
        order = (mine, theirs) if number % 2 else (theirs, mine)
        took = {target: self.measure(target) for target in order}
        if number:
            for promise, ours, peers in zip(self.promises, took[mine], took[theirs], strict=True):
                promise.add(ours, peers)


def blob_part(name: str, pushed: str, pulled: str, measure: Callable[[Target], Sequence[float]]) -> Part:
    return Part(measure, (f"push {name}", "blobs/s", pushed), (f"pull {name}", "blobs/s", pulled))


def skopeo_part(layers: int, mib: int) -> Part:
    ways = [(f"skopeo copy {way} {layers} layers of {mib} MiB", "s", "<= 1") for way in ("to", "from")]
    return Part(lambda t: skopeo(t, layers, mib * MIB), *ways)


def main() -> None:
    parts = [
        blob_part("one 256 MiB blob", ">= 1.5", ">= 1.3", lambda t: blobs(t, 1, 256 * MIB, 1, times=4)),
        blob_part("200 blobs of 1 MiB, 8 at a time", ">= 2.5", ">= 2", lambda t: blobs(t, 200, MIB)),
        Part(lambda t: blobs(t, 300, 16384)[:1], ("push 300 blobs of 16 KiB, 8 at a time", "blobs/s", ">= 6")),
        Part(
            lambda t: manifests(t, 400),
            ("push manifests, 8 at a time", "manifests/s", ">= 6"),
            ("pull manifests by tag, 8 at a time", "manifests/s", ">= 6"),
        ),
        skopeo_part(10, 16),
        skopeo_part(100, 1),
    ]
    with docker_registry() as theirs, ours() as mine:
        for number in range(1 + rounds(5)):
            for part in parts:
                part.round(mine, theirs, number)
    finish(*(promise for part in parts for promise in part.promises))


if __name__ == "__main__":
    main()
