"""nftables, by libnftables in this process (0.4 ms a transaction), or by the ``nft`` program where there is no library."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from typing import Any

from havre.kernel.errors import Permanent

LIBRARY = "libnftables.so.1"


def _library() -> Any:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError:
        return None
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_free.argtypes = [ctypes.c_void_p]
    library.nft_ctx_buffer_output.argtypes = [ctypes.c_void_p]
    library.nft_ctx_buffer_error.argtypes = [ctypes.c_void_p]
    library.nft_ctx_get_error_buffer.argtypes = [ctypes.c_void_p]
    library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    return library


def why_not() -> str:
    """ "" when nftables can be spoken to, otherwise the reason in words."""
    if _library() is None and shutil.which("nft") is None:
        return "nftables is missing: install libnftables1 or nftables"
    return ""


class Nft:
    """Belongs to the namespace in which it was made. With the program, calls must be made in that namespace."""

    def __init__(self) -> None:
        self._library = _library()
        self._context: int | None = None
        if self._library is not None:
            self._context = self._library.nft_ctx_new(0)
            self._library.nft_ctx_buffer_output(self._context)
            self._library.nft_ctx_buffer_error(self._context)

    def close(self) -> None:
        if self._context is not None:
            self._library.nft_ctx_free(self._context)
            self._context = None

    def run(self, commands: str) -> None:
        """All of the commands or none. Raises Permanent with nftables' words."""
        if self._context is not None:
            if self._library.nft_run_cmd_from_buffer(self._context, commands.encode()) != 0:
                words = self._library.nft_ctx_get_error_buffer(self._context) or b""
                raise Permanent("nftables: " + _brief(words))
            return
        done = subprocess.run(["nft", "-f", "-"], input=commands.encode(), capture_output=True, check=False)
        if done.returncode != 0:
            raise Permanent("nftables: " + _brief(done.stderr))


def _brief(words: bytes) -> str:
    return " ".join(words.decode(errors="replace").split())[:500]
