"""The image of the sandbox: one static program of a few hundred bytes, written here, so that nothing is pulled or compiled.

The program is what holds a task's network namespace. ``/isolate`` is started in the host's network with CAP_SYS_ADMIN,
leaves it for a namespace of its own (unshare), gives up every capability, then waits; Docker's own way to a namespace
(a libnetwork sandbox and two executions of dockerd) takes twice as long. ``/pause`` only waits, for engines that do not
let ``/isolate`` do so. Both are PID 1 of their container: they end on SIGTERM and SIGINT, and reap what is left to them.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence

ISOLATE = "/isolate"
PAUSE = "/pause"

_BASE = 0x400000
_HEADERS = 64 + 56
_CLONE_NEWNET = 0x40000000
_SIG_BLOCK = 0
_SIGCHLD = 17
_WAITED_FOR = (1 << (15 - 1)) | (1 << (2 - 1))  # SIGTERM, SIGINT
_CAPABILITY_VERSION_3 = 0x20080522

_X86_64 = {"unshare": 272, "capset": 126, "sigaction": 13, "sigprocmask": 14, "sigwait": 128, "exit": 60}
_AARCH64 = {"unshare": 97, "capset": 91, "sigaction": 134, "sigprocmask": 135, "sigwait": 137, "exit": 93}

# Data, at the start of the segment: a signal set, a capability header, three empty capability sets (and room), and
# a sigaction whose handler is SIG_IGN (1), so that children are reaped by the kernel.
_DATA = (
    struct.pack("<Q", _WAITED_FOR)
    + struct.pack("<II", _CAPABILITY_VERSION_3, 0)
    + bytes(24)
    + struct.pack("<QQQQ", 1, 0, 0, 0)
)
_SET = _BASE + _HEADERS
_CAP_HEADER = _SET + 8
_CAP_DATA = _CAP_HEADER + 8
_ACTION = _CAP_DATA + 24


class _X86:
    """Just enough of an assembler: system calls with constants, and leaving when one failed."""

    machine = 62
    calls = _X86_64
    _registers = (b"\xbf", b"\xbe", b"\xba")

    def call(self, name: str, arguments: Sequence[int]) -> bytes:
        code = b"".join(r + struct.pack("<I", a) for r, a in zip(self._registers, arguments, strict=False))
        if len(arguments) == 4:
            code += b"\x41\xba" + struct.pack("<I", arguments[3])
        return code + b"\xb8" + struct.pack("<I", self.calls[name]) + b"\x0f\x05"

    def unless_zero(self, code: bytes) -> bytes:
        return b"\x85\xc0" + b"\x74" + struct.pack("<b", len(code)) + code

    def while_negative(self, code: bytes) -> bytes:
        return code + b"\x85\xc0" + b"\x78" + struct.pack("<b", -(len(code) + 4))


class _Arm:
    machine = 183
    calls = _AARCH64

    def _constant(self, register: int, value: int) -> bytes:
        low = struct.pack("<I", 0xD2800000 | (value & 0xFFFF) << 5 | register)
        return low + struct.pack("<I", 0xF2A00000 | (value >> 16 & 0xFFFF) << 5 | register)

    def call(self, name: str, arguments: Sequence[int]) -> bytes:
        code = b"".join(self._constant(i, a) for i, a in enumerate(arguments))
        return code + self._constant(8, self.calls[name]) + struct.pack("<I", 0xD4000001)

    def unless_zero(self, code: bytes) -> bytes:
        return struct.pack("<I", 0xB4000000 | (len(code) // 4 + 1) << 5) + code

    def while_negative(self, code: bytes) -> bytes:
        # tbnz x0, #63, back to the start
        return code + struct.pack("<I", 0xB7F80000 | (-(len(code) // 4) & 0x3FFF) << 5)


def program(architecture: str, isolate: bool) -> bytes:
    """The ELF file for ``x86_64`` or ``aarch64``."""
    cpu: _X86 | _Arm = _Arm() if architecture in ("aarch64", "arm64") else _X86()
    code = b""
    if isolate:
        code += cpu.call("unshare", [_CLONE_NEWNET]) + cpu.unless_zero(cpu.call("exit", [1]))
        code += cpu.call("capset", [_CAP_HEADER, _CAP_DATA])
    code += cpu.call("sigaction", [_SIGCHLD, _ACTION, 0, 8])
    code += cpu.call("sigprocmask", [_SIG_BLOCK, _SET, 0, 8])
    code += cpu.while_negative(cpu.call("sigwait", [_SET, 0, 0, 8]))
    code += cpu.call("exit", [0])
    size = _HEADERS + len(_DATA) + len(code)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01",
        2,
        cpu.machine,
        1,
        _BASE + _HEADERS + len(_DATA),
        64,
        0,
        0,
        64,
        56,
        1,
        0,
        0,
        0,
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return header + segment + _DATA + code


def image(architecture: str) -> bytes:
    """A tar with the two programs, for ``POST /images/create?fromSrc=-``. The same bytes each time."""
    import tarfile  # once in an engine's life: not at each start

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, isolate in ((ISOLATE, True), (PAUSE, False)):
            content = program(architecture, isolate)
            entry = tarfile.TarInfo(name.lstrip("/"))
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()
