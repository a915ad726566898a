"""What Fargate takes: sizes, platform versions, and what it has not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from havre.kernel.errors import ApiError
from havre.kernel.quantities import parse_cpu, parse_memory
from havre.services.ecs.rules.common import client, invalid

PLATFORM = "1.4.0"
PLATFORMS = ("LATEST", "1.4.0", "1.3.0")
_SIZES = {
    256: (512, 1024, 2048),
    512: tuple(range(1024, 4096 + 1, 1024)),
    1024: tuple(range(2048, 8192 + 1, 1024)),
    2048: tuple(range(4096, 16384 + 1, 1024)),
    4096: tuple(range(8192, 30720 + 1, 1024)),
    8192: tuple(range(16384, 61440 + 1, 4096)),
    16384: tuple(range(32768, 122880 + 1, 8192)),
}


def sizes(cpu: str | None, memory: str | None) -> tuple[int, int]:
    """Task CPU and memory, 0 where not given. Raises ClientException."""
    try:
        units = parse_cpu(cpu) if cpu else 0
    except ValueError:
        raise client("Invalid 'cpu' setting for task. For more information, see the Troubleshooting section of the "
                     "Amazon ECS Developer Guide.") from None  # fmt: skip
    try:
        mib = parse_memory(memory) if memory else 0
    except ValueError:
        raise client("Invalid 'memory' setting for task. For more information, see the Troubleshooting section of the "
                     "Amazon ECS Developer Guide.") from None  # fmt: skip
    if (cpu and not 128 <= units <= 196_608) or (memory and mib < 6):
        raise client(f"Invalid '{'memory' if memory and mib < 6 else 'cpu'}' setting for task.")
    return units, mib


def check_size(cpu: int, memory: int) -> None:
    if not cpu or not memory:
        raise client(f"Fargate requires that '{'memory' if cpu else 'cpu'}' be defined at the task level.")
    if memory not in _SIZES.get(cpu, ()):
        raise client(
            f"No Fargate configuration exists for given values: {cpu} CPU, {memory} memory. "
            "See the Amazon ECS documentation for the valid values."
        )


def check_disk(given: Mapping[str, Any]) -> None:
    """``ephemeralStorage`` of a task definition or of overrides. Raises ClientException."""
    if not 21 <= (given.get("ephemeralStorage") or {}).get("sizeInGiB", 21) <= 200:
        raise client("ephemeralStorage.sizeInGiB must be between 21 and 200.")


def fits(body: Mapping[str, Any]) -> bool:
    """Whether Fargate could run this definition though it was not asked for (``compatibilities``)."""
    if body.get("networkMode") != "awsvpc" or body.get("pidMode") == "host" or body.get("ipcMode"):
        return False
    if body.get("placementConstraints") or any("dockerVolumeConfiguration" in v for v in body.get("volumes", ())):
        return False
    if any(v.get("host", {}).get("sourcePath") for v in body.get("volumes", ())):
        return False
    if any(c.get("privileged") or c.get("links") for c in body["containerDefinitions"]):
        return False
    try:
        check_size(*sizes(body.get("cpu"), body.get("memory")))
    except Exception:
        return False
    return True


def wanted_platform(version: str | None, launch: str) -> str:
    """The platform version that is asked for: "LATEST" where none is, "" for EC2. Raises PlatformUnknownException."""
    if launch != "FARGATE":
        if version:
            raise invalid("The platform version must be null when specifying an EC2 launch type.")
        return ""
    if version is not None and version not in PLATFORMS:
        raise ApiError("PlatformUnknownException", "The specified platform version does not exist.")
    return version or "LATEST"


def platform(wanted: str) -> str:
    """The platform version that a task runs on."""
    return PLATFORM if wanted == "LATEST" else wanted
