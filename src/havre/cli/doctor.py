"""``havre doctor``: what this machine has and lacks, what each lack costs, and with --fix a remedy."""

from __future__ import annotations

import ctypes.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from havre.cli import packages
from havre.kernel import runtimes


@dataclass(frozen=True)
class Finding:
    """``cost`` says what does not work without it; ``packages`` are Debian's."""

    name: str
    ok: bool
    detail: str
    cost: str = ""
    packages: tuple[str, ...] = ()
    required: bool = True


def examine(*, fix: bool, as_json: bool) -> int:
    """0 when nothing that is required lacks."""
    if sys.platform != "linux":
        print(packages.NOT_LINUX, file=sys.stderr)
        return 1
    findings = [check() for check in CHECKS]
    if fix and not all(f.ok for f in findings):
        _remedy(findings)
        findings = [check() for check in CHECKS]
    if as_json:
        print(json.dumps([asdict(f) for f in findings], indent=2))
    else:
        for f in findings:
            mark = "ok  " if f.ok else ("LACK" if f.required else "none")
            print(f"{mark} {f.name:22} {f.detail}" + ("" if f.ok else f"\n     {'':22} {f.cost}"))
        if lacking := _lacking(findings):
            print("\n" + packages.advice(lacking, sys.platform, packages.package_manager()))
        if not fix and not all(f.ok for f in findings):
            print("havre doctor --fix installs what it can, and starts the Docker Engine")
    return 0 if all(f.ok or not f.required for f in findings) else 1


def engine_answers() -> bool:
    return b"200 OK" in _asked("/_ping")[:200]


def _asked(path: str) -> bytes:
    """The engine's whole answer, b"" when there is none."""
    answer = b""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(3)
        try:
            connection.connect(_engine_socket())
            connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            while (piece := connection.recv(65536)) and len(answer) < _MOST:
                answer += piece
        except OSError:
            pass
    return answer


def start_engine() -> bool:
    """Start a Docker Engine, by systemd where there is one, by hand where there is not. True once it answers."""
    if engine_answers():
        return True
    if Path("/run/systemd/system").is_dir():
        sudo = [] if os.geteuid() == 0 or not shutil.which("sudo") else ["sudo"]
        subprocess.run([*sudo, "systemctl", "start", "docker"], check=False, timeout=90)
    elif os.geteuid() == 0 and (dockerd := shutil.which("dockerd", path=_PATH)):
        log = os.open("/var/log/dockerd-havre.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        subprocess.Popen([dockerd], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        os.close(log)
    else:
        return False
    for _ in range(150):
        if engine_answers():
            return True
        time.sleep(0.2)
    return False


_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/sbin"
_MOST = 1 << 20
_CONTROLLERS = ("memory", "cpu", "pids", "freezer")


def _engine_socket() -> str:
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    return host.removeprefix("unix://")


def _program(name: str, cost: str, packages: tuple[str, ...], *, required: bool = True) -> Callable[[], Finding]:
    def check() -> Finding:
        path = shutil.which(name, path=_PATH)
        return Finding(name, path is not None, path or "not installed", cost, packages, required)

    return check


def _root() -> Finding:
    ok = os.geteuid() == 0
    return Finding(
        "root", ok, "yes" if ok else "no", "VPC networks, load balancers, functions and havre up --engine oci need root"
    )


def _engine() -> Finding:
    there, path = shutil.which("dockerd", path=_PATH), _engine_socket()
    cost = "tasks stay PENDING until it answers"
    if engine_answers():
        kernel = _kernel(_asked("/info"))
        ok = kernel in ("", os.uname().release)
        elsewhere = f"its containers run on another kernel ({kernel}), in a virtual machine as Docker Desktop's do"
        cost = "tasks cannot be put into networks that are made here: start an engine on this machine itself"
        return Finding("Docker Engine", ok, path if ok else elsewhere, cost)
    if Path(path).exists() and not os.access(path, os.W_OK):
        detail = f"this user may not speak to {path}: be root, or one of the group docker"
    else:
        detail = f"{there} is not running" if there else f"does not answer on {path}"
    if spare := bool(_crun()) and os.geteuid() == 0:
        cost += ", but for those of havre up --engine oci"
    return Finding("Docker Engine", False, detail, cost, () if there else ("docker.io",), required=not spare)


def _kernel(answer: bytes) -> str:
    """The kernel that an engine's /info tells of, "" when it tells none."""
    try:
        return str(json.loads(answer.partition(b"\r\n\r\n")[2])["KernelVersion"])
    except (ValueError, KeyError, TypeError):
        return ""


def _docker_command() -> Finding:
    engine = shutil.which("dockerd", path=_PATH)
    wanted = ("docker-cli",) if engine else ("docker.io", "docker-cli")
    return _program("docker", "images cannot be built and pushed from here", wanted, required=False)()


def _crun() -> str:
    """What ``havre up --engine oci`` stands on instead of a Docker Engine; "" when it is not all here."""
    runtime = shutil.which("crun", path=_PATH) or shutil.which("runc", path=_PATH)
    monitor = shutil.which("conmon", path=_PATH)
    return f"{runtime}, {monitor}" if runtime and monitor else ""


def _without_docker() -> Finding:
    cost = "havre up --engine oci, which runs tasks without a Docker Engine, needs crun and conmon"
    found = _crun()
    return Finding("crun and conmon", bool(found), found or "not installed", cost, ("crun", "conmon"), required=False)


def _apparmor(switch: Path = Path("/sys/module/apparmor/parameters/enabled")) -> Finding:
    program = shutil.which("apparmor_parser", path=_PATH)
    if not switch.exists() or switch.read_text().strip() != "Y":
        return Finding("AppArmor", True, "not in this kernel")
    cost = "the kernel has AppArmor, but containers of havre up --engine oci run without a profile"
    return Finding("AppArmor", program is not None, program or "not installed", cost, ("apparmor",), required=False)


def _nftables() -> Finding:
    library = ctypes.util.find_library("nftables")
    ok = library is not None or shutil.which("nft", path=_PATH) is not None
    return Finding("nftables", ok, library or "", "awsvpc tasks are refused", ("nftables", "libnftables1"))


def _seccomp() -> Finding:
    library = ctypes.util.find_library("seccomp")
    cost = "functions do not run: their system calls would not be filtered"
    return Finding("libseccomp", library is not None, library or "not installed", cost, ("libseccomp2",))


def _runtimes() -> Finding:
    directory = runtimes.place(os.environ)
    built = runtimes.there(directory)
    cost = "AWS's base images are pulled instead; where they cannot be: havre lambda build-runtime python3.11"
    return Finding("Lambda runtimes", bool(built), ", ".join(built) or "none was built", cost, required=False)


def _namespaces() -> Finding:
    ok = Path("/proc/self/ns/net").exists()
    return Finding("network namespaces", ok, "yes" if ok else "this kernel has none", "awsvpc tasks are refused")


def _control_groups(mount: Path = Path("/sys/fs/cgroup")) -> Finding:
    """Version 2 hands its controllers down in one tree, version 1 has a tree for each."""
    second = mount / "cgroup.controllers"
    there = {*second.read_text().split(), "freezer"} if second.exists() else {path.name for path in mount.glob("*")}
    missing = [name for name in _CONTROLLERS if name not in there]
    detail = f"version {2 if second.exists() else 1}"
    if missing:
        detail = f"{mount} lacks {', '.join(missing)}"
    elif os.statvfs(mount).f_flag & os.ST_RDONLY:
        detail = f"{mount} is mounted read-only: a container that Havre runs in needs --privileged"
    cost = "no task with limits and no function can be held to its memory and CPU: they do not start"
    return Finding("control groups", detail.startswith("version"), detail, cost)


def _localhost_names() -> Finding:
    try:
        socket.getaddrinfo("x.elb.localhost", 80)
    except OSError:
        return Finding(
            "names in .localhost",
            False,
            "resolved by curl and browsers, not by this machine's libc",
            "programs that ask libc (Python, wget) do not find a load balancer's DNSName",
            ("libnss-myhostname",),
            required=False,
        )
    return Finding("names in .localhost", True, "resolved")


CHECKS: tuple[Callable[[], Finding], ...] = (
    _root,
    _engine,
    _docker_command,
    _program(
        "aws", "install the AWS CLI, 1.29 or 2.13 at least: older ones ignore AWS_ENDPOINT_URL", (), required=False
    ),
    _program("haproxy", "load balancers stay in the state provisioning", ("haproxy",)),
    _without_docker,
    _apparmor,
    _nftables,
    _namespaces,
    _control_groups,
    _seccomp,
    _program("mke2fs", "the /tmp of functions is in memory, and counts as theirs", ("e2fsprogs",), required=False),
    _program("mmdebstrap", "havre lambda build-runtime needs it", ("mmdebstrap",), required=False),
    _runtimes,
    _program("ip", "people debugging networks miss it; Havre does not", ("iproute2",), required=False),
    _localhost_names,
)


def _lacking(findings: list[Finding]) -> list[str]:
    return sorted({p for f in findings if not f.ok for p in f.packages})


def _remedy(findings: list[Finding]) -> None:
    lacking = _lacking(findings)
    if lacking and (todo := packages.install(lacking)):
        print(f"havre doctor: {todo}", file=sys.stderr)
    start_engine()
