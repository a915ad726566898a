"""The programs that this engine stands on, as they are on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from functools import lru_cache

from havre.engines.oci import seccomp

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_RUNTIMES = ("crun", "runc")
_INITS = ("docker-init", "tini-static", "catatonit")


def find(*names: str) -> str:
    """The first of them that is here; "" for none."""
    for name in names:
        path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:{_PATH}")
        if path:
            return path
    return ""


def runtime() -> str:
    return find(*_RUNTIMES)


def monitor() -> str:
    return find("conmon")


def init() -> str:
    """A static program that can be process 1 of a container."""
    return find(*_INITS)


def is_crun(path: str) -> bool:
    return os.path.basename(path) == "crun"  # noqa: PTH119 (a path's last word)


def environment() -> Mapping[str, str]:
    return {"PATH": _PATH}


def why_not() -> str:
    """ "" when containers can be run here, otherwise what lacks."""
    if os.geteuid() != 0:
        return "the oci engine needs root: containers are made of namespaces, mounts and control groups"
    if not runtime():
        return "no OCI runtime is installed (Debian: crun)"
    if not monitor():
        return "conmon is not installed (Debian: conmon)"
    if why := seccomp.why_not():
        return why
    if "overlay" not in _filesystems():
        subprocess.run(["modprobe", "overlay"], check=False, capture_output=True, env=dict(environment()))
        if "overlay" not in _filesystems():
            return "this kernel has no overlayfs"
    return ""


def capabilities() -> int:
    """The set that this process could hand on."""
    with open("/proc/self/status") as file:
        return next((int(line.split()[1], 16) for line in file if line.startswith("CapBnd:")), 0)


def _filesystems() -> str:
    try:
        with open("/proc/filesystems") as file:
            return file.read()
    except OSError:
        return ""


@lru_cache(maxsize=1)
def version() -> str:
    """``crun 1.8.1, conmon 2.1.6``."""
    said = []
    for path in (runtime(), monitor()):
        name = os.path.basename(path)  # noqa: PTH119
        done = subprocess.run([path, "--version"], check=False, capture_output=True, text=True)
        words = (done.stdout.splitlines() or [""])[0].split()
        said.append(f"{name} {words[-1] if words else ''}".strip())
    return ", ".join(said)
