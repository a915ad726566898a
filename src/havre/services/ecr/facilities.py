"""What the operations need besides the store."""

from __future__ import annotations

from dataclasses import dataclass

from havre.control.images import Layers
from havre.core.images.passwords import Passwords
from havre.kernel.errors import Temporary


@dataclass
class Facilities:
    """Filled in once by apps."""

    layers: Layers | None = None
    passwords: Passwords | None = None

    def open_layers(self) -> Layers:
        if self.layers is None:
            raise Temporary("the registry is not open yet")
        return self.layers

    def open_passwords(self) -> Passwords:
        if self.passwords is None:
            raise Temporary("the registry is not open yet")
        return self.passwords
