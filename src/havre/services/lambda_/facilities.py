"""What operations and reconcilers need besides the store."""

from __future__ import annotations

from dataclasses import dataclass

from havre.control.functions.ports import CodeStore, Functions
from havre.kernel.errors import Temporary


@dataclass
class Facilities:
    """Filled in by apps. ``secret`` signs the URLs from which code is downloaded; ``architectures`` are those that the
    machines of this installation can run."""

    functions: Functions | None = None
    code: CodeStore | None = None
    secret: bytes = b""
    architectures: tuple[str, ...] = ("x86_64",)

    def open_functions(self) -> Functions:
        """Raises Temporary."""
        if self.functions is None:
            raise Temporary("nothing runs functions yet")
        return self.functions

    def open_code(self) -> CodeStore:
        """Raises Temporary."""
        if self.code is None:
            raise Temporary("the store of code is not open yet")
        return self.code
