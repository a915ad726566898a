"""Regions and their zones: a, b and c in every region, whose ids are made as AWS makes them (``use1-az1``)."""

from __future__ import annotations

import re

REGIONS = (
    "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1", "ap-southeast-2",
    "ca-central-1", "eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3",
    "sa-east-1", "us-east-1", "us-east-2", "us-west-1", "us-west-2",
)  # fmt: skip
"""Those that every account has without opting in."""

LETTERS = ("a", "b", "c")
_PART = re.compile(r"north|south|east|west|central")


def short(region: str) -> str:
    """``us-east-1`` → ``use1``, ``ap-southeast-2`` → ``apse2``, ``us-gov-west-1`` → ``usgw1``."""
    first, *middle, last = region.split("-")
    directions = ["".join(p[0] for p in _PART.findall(word)) or word[0] for word in middle]
    return first + "".join(directions) + last


def zones(region: str) -> tuple[str, ...]:
    return tuple(region + letter for letter in LETTERS)


def zone_id(zone: str) -> str:
    return f"{short(zone[:-1])}-az{ord(zone[-1]) - ord('a') + 1}"


def zone_of_id(region: str, id: str) -> str | None:
    return next((zone for zone in zones(region) if zone_id(zone) == id), None)
