"""The filter of system calls: Docker's profile for a process without capabilities, compiled once by libseccomp.

Allowed are the names in syscalls.txt, and with conditions: ``clone`` without namespaces, ``socket`` but those that reach the
hypervisor, ``personality`` for the usual ones. ``clone3``, whose flags no filter can see, does not exist.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from havre.kernel.errors import Permanent

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_EPERM, _ENOSYS = 1, 38
_OPTIMIZE = 8
_UNKNOWN = -1
_NOT_EQUAL, _EQUAL, _MASKED = 1, 4, 7
_VSOCK = 40
_NAMESPACES = 0x7E020000
_PERSONALITIES = (0, 8, 0x20000, 0x20008, 0xFFFFFFFF)


class _Condition(ctypes.Structure):
    _fields_ = (("index", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


def why_not() -> str:
    return "" if _find() else "libseccomp is not installed (Debian: libseccomp2): functions would run without a filter"


def _find() -> str | None:
    return ctypes.util.find_library("seccomp")


def lists() -> Mapping[str, Sequence[str]]:
    found: dict[str, list[str]] = {}
    names: list[str] = []
    for line in Path(__file__).with_name("syscalls.txt").read_text().splitlines():
        if line.startswith("["):
            names = found.setdefault(line.strip("[]"), [])
        elif not line.startswith("#"):
            names += line.split()
    return found


def conditional() -> Iterator[tuple[str, _Condition]]:
    yield "clone", _Condition(0, _MASKED, _NAMESPACES, 0)
    yield "socket", _Condition(0, _NOT_EQUAL, _VSOCK, 0)
    for value in _PERSONALITIES:
        yield "personality", _Condition(0, _EQUAL, value, 0)


@lru_cache(maxsize=1)
def program() -> bytes:
    """For functions, as the kernel takes it. Raises Permanent."""
    return compiled(lists()["allow"], lists()["refuse"])


def compiled(allowed: Sequence[str], refused: Sequence[str]) -> bytes:
    """These are allowed, and those with conditions; ``refused`` get EPERM, and what is in neither ENOSYS. Raises
    Permanent."""
    if why := why_not():
        raise Permanent(why)
    library = ctypes.CDLL(_find())
    library.seccomp_init.restype = ctypes.c_void_p
    add = library.seccomp_rule_add_array
    add.argtypes = (ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p)
    context = ctypes.c_void_p(library.seccomp_init(_ERRNO | _ENOSYS))
    try:
        library.seccomp_attr_set(context, _OPTIMIZE, 2)
        for names, action in ((allowed, _ALLOW), (refused, _ERRNO | _EPERM)):
            for name in names:
                _add(library, context, action, name)
        for name, condition in conditional():
            if name not in allowed:
                _add(library, context, _ALLOW, name, condition)
        return _exported(library, context)
    finally:
        library.seccomp_release(context)


def _add(library: ctypes.CDLL, context: ctypes.c_void_p, action: int, name: str, *conditions: _Condition) -> None:
    """A name that this machine's libseccomp does not know is not allowed."""
    number = library.seccomp_syscall_resolve_name(name.encode())
    if number == _UNKNOWN:
        return
    array = (_Condition * len(conditions))(*conditions)
    result = library.seccomp_rule_add_array(
        context, action, number, len(conditions), ctypes.cast(array, ctypes.c_void_p)
    )
    if result < 0 and number >= 0:  # negative numbers are those of other architectures
        raise Permanent(f"the filter of system calls cannot be made: {name}: {os.strerror(-result)}")


def _exported(library: ctypes.CDLL, context: ctypes.c_void_p) -> bytes:
    fd = os.memfd_create("seccomp", os.MFD_CLOEXEC)
    try:
        result = library.seccomp_export_bpf(context, fd)
        if result < 0:
            raise Permanent(f"the filter of system calls cannot be made: {os.strerror(-result)}")
        return os.pread(fd, 1 << 20, 0)
    finally:
        os.close(fd)
