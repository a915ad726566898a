"""What the configuration is made from, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath

import msgspec

from havre.engines.haproxy.layout import Frontend
from havre.engines.haproxy.slots import Slots
from havre.kernel.balancer import Balancer

ADMIN = "admin.sock"
MASTER = "master.sock"


class Rendered(msgspec.Struct, frozen=True):
    """``text`` has the targets in their slots, ``structure`` the same with all slots empty: equal structures need no
    reload. ``files`` are what the text refers to, by name below the directory of files."""

    text: str
    structure: str
    files: Mapping[str, bytes]


class Plan(msgspec.Struct, frozen=True):
    """What to render. ``spaces`` maps VPCs to namespaces; ``directory`` is where the files will lie; ``functions`` is the
    Unix socket behind which functions answer."""

    balancers: Sequence[Balancer]
    frontends: Sequence[Frontend]
    slots: Mapping[str, Slots]
    spaces: Mapping[str, tuple[str, int]]
    directory: PurePath
    threads: int = 2
    functions: str = ""
