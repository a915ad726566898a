"""What this machine has to have installed, in the words of its distribution, and the installing where that is Debian's.

Also run as a program, by scripts/ensure-packages, with names of Debian's packages: nothing of Havre is imported here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence

NOT_LINUX = """Havre runs on Linux: it makes containers, networks and functions of what Linux's kernel has for them.
On a Mac or on Windows, give it a Linux machine and install it in there:
  macOS:    brew install lima && limactl start --name=havre template:debian-13 && limactl shell havre
  Windows:  wsl --install Debian"""
_FEDORA: Mapping[str, str] = {
    "busybox-static": "busybox",
    "docker-cli": "",
    "docker.io": "moby-engine",
    "iproute2": "iproute",
    "libnftables1": "nftables",
    "libnss-myhostname": "",
    "libseccomp2": "libseccomp",
}
"""Debian's name → Fedora's, where they differ; "" for what comes with another."""


def advice(packages: Sequence[str], platform: str, manager: str) -> str:
    """What a person is to type; ``packages`` by Debian's names, ``manager`` as ``package_manager`` finds it."""
    if platform != "linux":
        return NOT_LINUX
    if manager == "apt-get":
        return f"please install, as root:  apt-get install {' '.join(packages)}"
    if manager == "dnf":
        names = dict.fromkeys(_FEDORA.get(name, name) for name in packages)
        return f"please install, as root:  dnf install {' '.join(name for name in names if name)}"
    return f"please install, by the names that your distribution has for them: {' '.join(packages)}"


def package_manager() -> str:
    return next((name for name in ("apt-get", "dnf") if shutil.which(name)), "")


def install(packages: Sequence[str]) -> str:
    """With sudo where this is not root. "" when all are there, otherwise what to do."""
    manager = package_manager()
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    if manager != "apt-get" or (sudo and not shutil.which("sudo")):
        return advice(packages, sys.platform, manager)
    run = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
    subprocess.run([*run, "update", "-q"], check=False, stdout=subprocess.DEVNULL)
    known = [name for name in packages if _known(name)]
    options = ["install", "-y", "-q", "--no-install-recommends", "--no-remove"]  # nobody's own engine is replaced
    done = subprocess.run([*run, *options, *known], check=False, stdout=subprocess.DEVNULL)
    return advice(packages, sys.platform, manager) if done.returncode else ""


def _known(package: str) -> bool:
    """Debian 13 has the docker command in a package of its own, Debian 12 and Ubuntu have none of that name."""
    shown = subprocess.run(["apt-cache", "show", "--no-all-versions", package], capture_output=True, check=False)
    return shown.returncode == 0 and bool(shown.stdout)


if __name__ == "__main__":
    print(advice(sys.argv[1:], sys.platform, package_manager()), file=sys.stderr)
