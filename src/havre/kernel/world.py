"""Clock, ids and chance: handed in, never reached for, so that tests and the simulation own them."""

from __future__ import annotations

import string
from collections.abc import Callable
from random import Random

_ALNUM = string.ascii_lowercase + string.digits


class World:
    """``clock`` gives seconds since the epoch (UTC); ``chance`` gives everything that looks random.

    Ids made here need to be unique, not secret: secrets come from the ``secrets`` module, in apps and services/iam.
    """

    __slots__ = ("_clock", "chance")

    def __init__(self, clock: Callable[[], float], chance: Random) -> None:
        self._clock = clock
        self.chance = chance

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        return self._clock()

    def hex(self, digits: int = 32) -> str:
        """A random lower-case hexadecimal id, as of ECS tasks."""
        return f"{self.chance.getrandbits(4 * digits):0{digits}x}"

    def uuid(self) -> str:
        """A random UUID (version 4), as of request ids."""
        bits = self.chance.getrandbits(128)
        h = f"{bits:032x}"
        return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-{'89ab'[bits >> 60 & 3]}{h[17:20]}-{h[20:]}"

    def name(self, length: int = 8) -> str:
        """A random name of lower-case letters and digits."""
        return "".join(self.chance.choices(_ALNUM, k=length))
