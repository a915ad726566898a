"""The program that a sandbox's first process becomes: it waits for ever, in one page of memory.

It is written here, so that nothing is compiled, and handed over as a file that may be executed and not read, which keeps the
function, whose user it runs as, from tracing it.
"""

from __future__ import annotations

import os
import platform
import struct

from havre.kernel.errors import Permanent

_BASE = 0x400000
_HEADERS = 64 + 56
_CODE = {
    "x86_64": (62, bytes.fromhex("b822000000 0f05 ebf7")),  # pause(); again
    "aarch64": (  # ppoll(0, 0, 0, 0); again
        183,
        struct.pack("<7I", 0xD2800000, 0xD2800001, 0xD2800002, 0xD2800003, 0xD2800928, 0xD4000001, 0x17FFFFFA),
    ),
}


def program(machine: str) -> bytes:
    """A static executable. Raises Permanent."""
    if machine not in _CODE:
        raise Permanent(f"sandboxes are not made on {machine}")
    number, code = _CODE[machine]
    size = _HEADERS + len(code)
    identity = b"\x7fELF" + bytes((2, 1, 1)) + bytes(9)
    head = struct.pack("<HHIQQQIHHHHHH", 2, number, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return identity + head + segment + code


def open_program() -> int:
    """A descriptor of it. Raises Permanent, OSError."""
    content = program(platform.machine())
    writable = os.memfd_create("init", os.MFD_CLOEXEC)
    try:
        os.write(writable, content)
        os.fchmod(writable, 0o111)
        return os.open(f"/proc/self/fd/{writable}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(writable)
