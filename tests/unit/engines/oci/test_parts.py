"""Parts of the sandbox engine that are right or wrong by themselves."""

from __future__ import annotations

import gzip
import io
import json
import os
import platform
import signal
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import pytest

from havre.engines.oci import init, registry, scratch, seccomp
from havre.engines.oci.registry import Puller, Reference, is_plain, parse
from havre.engines.oci.roots import escaped
from havre.engines.oci.zygotes import ENVIRONMENT, warm_enough
from havre.kernel import runtimes
from havre.kernel.errors import Permanent
from havre.kernel.workload import Registry


def test_every_runtime_of_the_model_has_a_base() -> None:
    spec = find_spec("botocore")
    assert spec is not None and spec.origin is not None
    model = Path(spec.origin).parent / "data/lambda/2015-03-31/service-2.json.gz"
    names = json.loads(gzip.decompress(model.read_bytes()))["shapes"]["Runtime"]["enum"]
    without = [name for name in names if not runtimes.base_image(name)]
    assert without == ["nodejs", "nodejs4.3-edge", "custom"]
    assert runtimes.base_image("python3.12") == "public.ecr.aws/lambda/python:3.12"
    assert runtimes.base_image("nodejs22.x") == "public.ecr.aws/lambda/nodejs:22"
    assert runtimes.base_image("java8.al2") == "public.ecr.aws/lambda/java:8.al2"
    assert runtimes.base_image("dotnet8") == "public.ecr.aws/lambda/dotnet:8"
    assert runtimes.base_image("provided.al2023") == "public.ecr.aws/lambda/provided:al2023"
    assert runtimes.base_image("python3.12; rm") == ""
    assert runtimes.entry_point("provided.al2") == "/var/task/bootstrap"
    assert runtimes.entry_point("ruby3.3") == "/var/runtime/bootstrap"


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("127.0.0.1:4566/a/b:1", ("127.0.0.1:4566", "a/b", "1")),
        ("public.ecr.aws/lambda/python:3.11", ("public.ecr.aws", "lambda/python", "3.11")),
        ("localhost/a", ("localhost", "a", "latest")),
        ("host:5000/a@sha256:ab", ("host:5000", "a", "sha256:ab")),
        ("host:5000/a:tag@sha256:ab", ("host:5000", "a", "sha256:ab")),
    ],
)
def test_references(image: str, expected: tuple[str, str, str]) -> None:
    assert parse(image) == Reference(*expected)


@pytest.mark.parametrize("image", ["python", "library/python:3", ""])
def test_references_without_a_registry(image: str) -> None:
    with pytest.raises(Permanent, match="names no registry"):
        parse(image)


def test_plain_http_is_for_this_machine() -> None:
    assert all(is_plain(host) for host in ("127.0.0.1:4566", "localhost", "x.localhost:80", "[::1]:80"))
    assert not any(is_plain(host) for host in ("public.ecr.aws", "10.0.0.1:5000", "127.evil.example", "localhost.evil"))


def test_credentials_are_for_whom_they_were_given() -> None:
    puller = Puller(Reference("registry.example", "a", "1"), None)
    for challenge in ('Basic realm="x"', 'Bearer realm="http://elsewhere.example/token"', "Bearer nonsense", ""):
        assert puller._ask_for_token(challenge) is False


class _Registry:
    """A connection to whoever is asked; the first answer sends on, the second one is a manifest."""

    asked: ClassVar[list[tuple[str, str, dict[str, str]]]] = []

    def __init__(self, scheme: str, host: str, peer: str = "93.184.216.34") -> None:
        self.place, self.sock = (scheme, host), self
        self.peer = peer
        self.headers: dict[str, str] = {}

    def connect(self) -> None: ...

    def close(self) -> None: ...

    def getpeername(self) -> tuple[str, int]:
        return self.peer, 443

    def request(self, method: str, path: str, headers: dict[str, str]) -> None:
        self.asked.append((*self.place, headers))

    def getresponse(self) -> Any:
        first = len(self.asked) == 1
        self.status = 302 if first else 200
        self.headers = {"Location": "http://registry.example/elsewhere"} if first else {}
        return self

    def read(self, most: int = 0) -> bytes:
        return b"{}"


def test_credentials_do_not_go_on_in_plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_connection", _Registry)
    _Registry.asked.clear()
    Puller(Reference("registry.example", "a", "1"), Registry("registry.example", "me", "secret")).manifest("1")
    (first, _, said), (second, _, left) = _Registry.asked
    assert (first, second) == ("https", "http")
    assert "Authorization" in said and "Authorization" not in left


def test_a_registry_is_no_way_to_metadata_of_clouds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_connection", partial(_Registry, peer="169.254.169.254"))
    _Registry.asked.clear()
    with pytest.raises(Permanent, match="for this machine alone"):
        Puller(Reference("registry.example", "a", "1"), None).manifest("1")
    assert _Registry.asked == []


def test_the_filter_knows_its_names() -> None:
    lists = seccomp.lists()
    assert not set(lists["allow"]) & set(lists["refuse"])
    assert {"clone", "clone3", "socket", "personality"}.isdisjoint({*lists["allow"], *lists["refuse"]})
    dangerous = {
        "mount",
        "umount2",
        "unshare",
        "setns",
        "pivot_root",
        "bpf",
        "keyctl",
        "io_uring_setup",
        "open_by_handle_at",
    }
    assert dangerous <= set(lists["refuse"])
    program = seccomp.program()
    assert len(program) % 8 == 0 and len(program) // 8 < 4096
    assert program is seccomp.program()


def test_the_first_process_waits_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "init"
    path.write_bytes(init.program(platform.machine()))
    path.chmod(0o700)
    process = subprocess.Popen([path])
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == -signal.SIGTERM


@pytest.mark.parametrize(("machine", "number"), [("x86_64", 62), ("aarch64", 183)])
def test_the_first_process_is_an_executable(machine: str, number: int) -> None:
    content = init.program(machine)
    assert content[:4] == b"\x7fELF"
    assert struct.unpack_from("<HH", content, 16) == (2, number)
    with pytest.raises(Permanent):
        init.program("mips")


def test_variables_that_an_interpreter_reads_when_it_starts() -> None:
    given = {"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001", **ENVIRONMENT, "ANY": "x"}
    assert warm_enough(given)
    assert not warm_enough({**given, "PYTHONHASHSEED": "1"})
    assert not warm_enough({**given, "PYTHONPATH": "/var/task/lib"})
    assert not warm_enough({**given, "LD_PRELOAD": "/opt/x.so"})
    assert not warm_enough({**given, "AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrap"})
    assert not warm_enough({**given, "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9002"})


def test_paths_in_overlays() -> None:
    assert escaped("/a:b,c\\d") == "/a\\:b\\,c\\\\d"


@pytest.mark.skipif(scratch.why_not() != "", reason=scratch.why_not())
def test_disks_have_no_name_and_are_sparse(tmp_path: Path) -> None:
    made = scratch.Scratch(tmp_path / "tmp", (993, 990))
    fds = [made.disk(size) for size in (512, 512, 1024)]
    files = [open(fd, "rb") for fd in fds]  # noqa: SIM115
    try:
        assert [file.seek(0, io.SEEK_END) >> 20 for file in files] == [534, 534, 1060], "and what ext4 takes itself"
        assert sorted(p.name for p in (tmp_path / "tmp").iterdir()) == ["1060.ext4", "534.ext4"]
        assert sum(p.stat().st_blocks for p in (tmp_path / "tmp").iterdir()) * 512 < 16 << 20
    finally:
        for file in files:
            file.close()


@pytest.mark.skipif(scratch.why_not() != "", reason=scratch.why_not())
def test_disks_that_are_made_at_once_are_the_same(tmp_path: Path) -> None:
    made = scratch.Scratch(tmp_path / "tmp", (993, 990))
    with ThreadPoolExecutor(8) as pool:
        fds = list(pool.map(made.disk, [64] * 8))
    try:
        heads = {os.pread(fd, 56, 1024)[:24] for fd in fds}  # the superblock, up to its first time stamp
        assert len(heads) == 1 and os.pread(fds[0], 2, 1080) == b"\x53\xef"
        assert [p.name for p in (tmp_path / "tmp").iterdir()] == ["70.ext4"]
        for fd in fds:
            check = ["e2fsck", "-fn", f"/proc/self/fd/{fd}"]
            env = {"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"}
            assert subprocess.run(check, pass_fds=[fd], capture_output=True, env=env, check=False).returncode == 0
    finally:
        for fd in fds:
            os.close(fd)


LOW = """
import os, resource
from havre.engines.oci.zygote.calls import bound
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_NOFILE, (600, 600))
if os.geteuid() == 0:
    os.setresuid(65534, 65534, 65534)
bound(resource.RLIMIT_CORE, 1)
bound(resource.RLIMIT_NOFILE, 1024)
bound(resource.RLIMIT_NPROC, 50)
print(*resource.getrlimit(resource.RLIMIT_CORE), *resource.getrlimit(resource.RLIMIT_NOFILE))
print(*resource.getrlimit(resource.RLIMIT_NPROC))
"""


def test_limits_that_are_lower_already_and_may_not_be_raised_stay() -> None:
    told = subprocess.run([sys.executable, "-c", LOW], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["0", "0", "600", "600", "50", "50"]
