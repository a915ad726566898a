"""Sockets inside network namespaces."""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

RUN = Path("/run/netns")
_NEWNET = 0x40000000


def inode(namespace: str) -> int:
    """Tells a namespace from another that had the name before; 0 when it is not there."""
    try:
        return (RUN / namespace).stat().st_ino
    except OSError:
        return 0


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """This thread is in the namespace for the time of the block, which must not await. Raises OSError."""
    if not namespace:
        yield
        return
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(RUN / namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(there)
        finally:
            os.close(there)
        try:
            yield
        finally:
            _setns(home)
    finally:
        os.close(home)


def tcp_socket(namespace: str = "", source: str = "") -> socket.socket:
    """A non-blocking TCP socket there, bound to the source address if one is given. Raises OSError."""
    with inside(namespace):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if source:
            sock.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
            sock.bind((source, 0))
    except OSError:
        sock.close()
        raise
    return sock


def why_not_bindable(address: str, port: int, namespace: str = "") -> str:
    """ "" when something of ours could listen there now, otherwise the reason in words."""
    try:
        with inside(namespace), socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return ""


@lru_cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _setns(fd: int) -> None:
    if _libc().setns(fd, _NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
