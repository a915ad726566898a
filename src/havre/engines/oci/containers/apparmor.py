"""AppArmor's profile of containers: what Docker's allows and forbids, by a name of Havre's own, with Docker and without.

All instances on a machine share it; it is written into the kernel whenever one begins, and stays there.
"""

from __future__ import annotations

import logging
import subprocess
from pathlib import Path

from havre.engines.oci.containers import programs

log = logging.getLogger("havre.node")

NAME = "havre-default"
_ENABLED = Path("/sys/module/apparmor/parameters/enabled")
_ABI = Path("/etc/apparmor.d/abi/3.0")
"""Rules mean what they meant in AppArmor 3: in later ones ``network`` is without Unix sockets."""
_PATIENCE = 60.0


def enabled(switch: Path = _ENABLED) -> bool:
    """Whether this kernel uses it."""
    try:
        return switch.read_text().strip() == "Y"
    except OSError:
        return False


def parser() -> str:
    return programs.find("apparmor_parser")


def profile(abi: Path = _ABI) -> str:
    rules = Path(__file__).with_suffix(".txt").read_text()
    return f"abi <abi/{abi.name}>,\n{rules}" if abi.exists() else rules


def load() -> str | None:
    """The name of the profile that containers have unless they say another; "" where it cannot be loaded, which is told,
    None where the kernel has no AppArmor. Blocks."""
    if not enabled():
        return None
    try:
        why = _load(parser())
    except (OSError, subprocess.TimeoutExpired) as error:
        why = str(error)
    if why:
        log.warning("containers run without a profile of AppArmor: %s", why)
        return ""
    return NAME


def _load(program: str) -> str:
    """Why not, "" when it is done."""
    if not program:
        return "apparmor_parser is not installed (Debian: apparmor)"
    done = subprocess.run(
        [program, "--replace", "--skip-cache"],
        input=profile(),
        capture_output=True,
        text=True,
        check=False,
        timeout=_PATIENCE,
        env=dict(programs.environment()),
    )
    said = " ".join(done.stderr.split())[:500]
    return (said or f"{program} ended with {done.returncode}") if done.returncode else ""
