"""Names: ARNs, DNS names, addresses on this machine, AWS's hosted zones. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

from havre.services.elbv2.errors import validation

_NAME = re.compile(r"[A-Za-z0-9-]+")

ZONE_IDS = {
    "af-south-1": "Z268VQBMOI5EKX",
    "ap-east-1": "Z3DQVH9N71FHZ0",
    "ap-northeast-1": "Z14GRHDCWA56QT",
    "ap-northeast-2": "ZWKZPGTI48KDX",
    "ap-northeast-3": "Z5LXEXXYW11ES",
    "ap-south-1": "ZP97RAFLXTNZK",
    "ap-southeast-1": "Z1LMS91P8CMLE5",
    "ap-southeast-2": "Z1GM3OXH4ZPM65",
    "ca-central-1": "ZQSVJUPU6J1EY",
    "eu-central-1": "Z215JYRZR1TBD5",
    "eu-north-1": "Z23TAZ6LKFMNIO",
    "eu-south-1": "Z3ULH7SSC9OV64",
    "eu-west-1": "Z32O12XQLNTSW2",
    "eu-west-2": "ZHURV8PSTC4K8",
    "eu-west-3": "Z3Q77PNBQS71R4",
    "me-south-1": "ZS929ML54UICD",
    "sa-east-1": "Z2P70J7HTTTPLU",
    "us-east-1": "Z35SXDOTRQ7X7K",
    "us-east-2": "Z3AADJGX6KTTL2",
    "us-west-1": "Z368ELLRRE2KJ0",
    "us-west-2": "Z1H1FL5HABSF5",
}


def check(name: str, what: str) -> None:
    """Raises ValidationError for a name that AWS would not take; ``what`` is ``Load balancer`` or ``Target group``."""
    if len(name) > 32:
        raise validation(f"{what} name '{name}' cannot be longer than '32' characters")
    if not _NAME.fullmatch(name):
        raise validation(
            f"{what} name '{name}' can only contain characters that are alphanumeric characters and hyphens(-)"
        )
    if name.startswith("-") or name.endswith("-"):
        raise validation(f"{what} name '{name}' cannot begin or end with '-'")
    if name.lower().startswith("internal-") and what == "Load balancer":
        raise validation(f"{what} name '{name}' cannot begin with 'internal-'")


def dns_name(name: str, number: int, region: str, scheme: str) -> str:
    """Resolves to this machine wherever ``.localhost`` does; internal ones are prefixed as on AWS."""
    return f"{'internal-' if scheme == 'internal' else ''}{name}-{number}.{region}.elb.localhost".lower()


def host_address(instance: str, id: str, taken: Callable[[str], bool]) -> str:
    """A loopback address of its own: the second octet is the installation's, the others the load balancer's."""
    second = 64 + hashlib.sha256(instance.encode()).digest()[0] % 128
    for attempt in range(65536):
        digest = hashlib.sha256(f"{id}/{attempt}".encode()).digest()
        address = f"127.{second}.{digest[0]}.{1 + digest[1] % 254}"
        if not taken(address):
            return address
    raise validation("No loopback address is left for another load balancer")
