"""How bytes get into files: through the page cache, where whoever pulls what was just pushed finds them."""

from __future__ import annotations

import os
from collections.abc import Sequence

IOV_MAX = 1024


def write_all(file: int, pieces: Sequence[bytes | memoryview]) -> None:
    """Raises OSError, and then some may have been written."""
    done = os.writev(file, pieces) if 0 < len(pieces) <= IOV_MAX else 0
    for piece in pieces:
        view = memoryview(piece)[done:]
        done = max(done - len(piece), 0)
        while view:
            view = view[os.write(file, view) :]
