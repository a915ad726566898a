"""What the registry gets handed in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from havre.control.images import Place
from havre.control.operation import Principal


class Authorize(Protocol):
    """May this principal do this to this repository?"""

    async def __call__(self, principal: Principal, action: str, place: Place, policy: str, source_ip: str) -> str:
        """ "" when identity policies and ``policy`` (the repository's, JSON, "" for none) allow it; otherwise the refusal
        in AWS's words. ``action`` is an ECR action with its prefix; ``place.repository`` is "" for the whole registry."""
        ...


class Access(msgspec.Struct, frozen=True):
    """One request to the data plane, as CloudTrail records it. ``error`` is the error code, "" when it succeeded."""

    principal: Principal
    place: Place
    action: str
    parameters: Mapping[str, str]
    error: str
    message: str
    source_ip: str
    user_agent: str


class Recorder(Protocol):
    """Takes note of a request; must not block."""

    def __call__(self, access: Access) -> None: ...
