"""The part of rtnetlink that VPCs need: links, addresses, routes. A few hundred bytes each way, and no library of 24 MB.

A Netlink belongs to the namespace in which it was opened, for ever: the thread may go elsewhere afterwards.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

_NEWLINK, _DELLINK, _GETLINK, _NEWADDR, _DELADDR, _GETADDR, _NEWROUTE = 16, 17, 18, 20, 21, 22, 24
_REQUEST, _ACK, _DUMP, _CREATE, _EXCL, _REPLACE = 0x1, 0x4, 0x300, 0x400, 0x200, 0x100
_ERROR, _DONE = 2, 3
_IFF_UP = 1
_HEADER = struct.Struct("=IHHII")
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBi")
_ROUTE = struct.Struct("=BBBBBBBBI")
_MAC, _NAME, _MTU, _LINKINFO, _ALIAS, _GROUP, _NS_FD = 1, 3, 4, 18, 20, 27, 28
_KIND, _DATA, _PEER = 1, 2, 1
_NOPREFIXROUTE = 0x200
_MAIN, _STATIC, _UNIVERSE, _LINK_SCOPE = 254, 4, 0, 253
UNICAST, BLACKHOLE, UNREACHABLE = 1, 6, 7
_PAIRS = struct.pack("=I", 0x68617672)
"""The group of the pairs that are made here: nobody else's."""


class Link(NamedTuple):
    number: int
    name: str
    alias: str
    mac: str
    up: bool


def _attribute(kind: int, value: bytes) -> bytes:
    length = len(value) + 4
    return struct.pack("=HH", length, kind) + value + b"\0" * (-length % 4)


def _text(kind: int, value: str) -> bytes:
    return _attribute(kind, value.encode() + b"\0")


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            return
        yield kind & 0x3FFF, data[at + 4 : at + length]
        at += (length + 3) & ~3


def _string(value: bytes) -> str:
    return value.rstrip(b"\0").decode(errors="replace")


class Netlink:
    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        self._socket.bind((0, 0))
        self._socket.settimeout(10)
        self._number = 0

    def close(self) -> None:
        self._socket.close()

    def _ask(self, type: int, flags: int, body: bytes) -> list[bytes]:
        """Raises OSError with the kernel's error number. Gives the answers' bodies (of a dump)."""
        self._number += 1
        number = self._number
        header = _HEADER.pack(_HEADER.size + len(body), type, flags | _REQUEST, number, 0)
        self._socket.send(header + body)
        answers: list[bytes] = []
        while True:
            data = self._socket.recv(1 << 18)
            at = 0
            while at + _HEADER.size <= len(data):
                length, kind, _, of, _ = _HEADER.unpack_from(data, at)
                payload = data[at + _HEADER.size : at + length]
                at += (length + 3) & ~3
                if of != number:
                    continue
                if kind == _ERROR:
                    code: int = -struct.unpack_from("=i", payload)[0]
                    if code:
                        raise OSError(code, os.strerror(code))
                    return answers
                if kind == _DONE:
                    return answers
                answers.append(payload)
                if flags & _DUMP != _DUMP:
                    return answers

    # links

    def links(self) -> list[Link]:
        return [_link(answer) for answer in self._ask(_GETLINK, _DUMP, _LINK.pack(0, 0, 0, 0, 0))]

    def link(self, name: str) -> Link | None:
        try:
            answers = self._ask(_GETLINK, 0, _LINK.pack(0, 0, 0, 0, 0) + _text(_NAME, name))
        except OSError as error:
            if error.errno == errno.ENODEV:
                return None
            raise
        return _link(answers[0])

    def add_holder(self, name: str) -> None:
        """An interface that is there for its addresses: an empty bridge, because not every kernel has dummies, and all
        that run Docker have bridges. There already is success."""
        info = _attribute(_LINKINFO, _text(_KIND, "bridge"))
        self._make(_LINK.pack(0, 0, 0, 0, 0) + _text(_NAME, name) + info)

    def add_veth(self, name: str, peer: str, namespace: int, mac: str = "") -> None:
        """A pair: ``name`` here, ``peer`` in the namespace behind the descriptor, with this MAC.

        Raises OSError EEXIST when either name is taken.
        """
        inner = _LINK.pack(0, 0, 0, 0, 0) + _text(_NAME, peer) + _attribute(_NS_FD, struct.pack("=I", namespace))
        if mac:
            inner += _attribute(_MAC, bytes.fromhex(mac.replace(":", "")))
        info = _text(_KIND, "veth") + _attribute(_DATA, _attribute(_PEER, inner))
        body = _LINK.pack(0, 0, 0, 0, 0) + _text(_NAME, name) + _attribute(_GROUP, _PAIRS) + _attribute(_LINKINFO, info)
        self._ask(_NEWLINK, _ACK | _CREATE | _EXCL, body)

    def delete_veths(self) -> None:
        """All pairs that were made here, in one go: each by itself takes the kernel 15 ms. None is success."""
        try:
            self._ask(_DELLINK, _ACK, _LINK.pack(0, 0, 0, 0, 0) + _attribute(_GROUP, _PAIRS))
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise

    def _make(self, body: bytes) -> None:
        try:
            self._ask(_NEWLINK, _ACK | _CREATE | _EXCL, body)
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise

    def set_up(self, index: int, alias: str = "") -> None:
        body = _LINK.pack(0, 0, index, _IFF_UP, _IFF_UP)
        self._ask(_NEWLINK, _ACK, body + (_text(_ALIAS, alias) if alias else b""))

    def set_alias(self, index: int, alias: str) -> None:
        self._ask(_NEWLINK, _ACK, _LINK.pack(0, 0, index, 0, 0) + _text(_ALIAS, alias))

    def delete(self, name: str) -> None:
        """Gone is success."""
        try:
            self._ask(_DELLINK, _ACK, _LINK.pack(0, 0, 0, 0, 0) + _text(_NAME, name))
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise

    # addresses

    def addresses(self) -> list[tuple[int, str]]:
        """(interface index, IPv4 address) of each."""
        found: list[tuple[int, str]] = []
        for answer in self._ask(_GETADDR, _DUMP, _ADDRESS.pack(socket.AF_INET, 0, 0, 0, 0)):
            index = _ADDRESS.unpack_from(answer)[4]
            found += [(index, socket.inet_ntoa(v)) for k, v in _attributes(answer[_ADDRESS.size :]) if k == 2]
        return found

    def add_address(self, index: int, address: str, bits: int = 32) -> None:
        """Without a route to its prefix. There already is success."""
        raw = socket.inet_aton(address)
        body = _ADDRESS.pack(socket.AF_INET, bits, 0, 0, index)
        body += _attribute(2, raw) + _attribute(1, raw) + _attribute(8, struct.pack("=I", _NOPREFIXROUTE))
        self._ask(_NEWADDR, _ACK | _CREATE | _REPLACE, body)

    def remove_address(self, index: int, address: str, bits: int = 32) -> None:
        """Gone is success."""
        body = _ADDRESS.pack(socket.AF_INET, bits, 0, 0, index) + _attribute(2, socket.inet_aton(address))
        try:
            self._ask(_DELADDR, _ACK, body)
        except OSError as error:
            if error.errno not in (errno.EADDRNOTAVAIL, errno.ENODEV):
                raise

    # routes

    def set_route(self, address: str, bits: int, index: int = 0, via: str = "", kind: int = UNICAST) -> None:
        """Replaces the route to the same prefix. ``via`` a gateway, or straight on the link."""
        scope = _UNIVERSE if via or kind != UNICAST else _LINK_SCOPE
        body = _ROUTE.pack(socket.AF_INET, bits, 0, 0, _MAIN, _STATIC, scope, kind, 0)
        if bits:
            body += _attribute(1, socket.inet_aton(address))
        if via:
            body += _attribute(5, socket.inet_aton(via))
        if index:
            body += _attribute(4, struct.pack("=i", index))
        self._ask(_NEWROUTE, _ACK | _CREATE | _REPLACE, body)


def _link(answer: bytes) -> Link:
    _, _, index, flags, _ = _LINK.unpack_from(answer)
    values = dict(_attributes(answer[_LINK.size :]))
    mac = ":".join(f"{b:02x}" for b in values.get(_MAC, b""))
    return Link(index, _string(values.get(_NAME, b"")), _string(values.get(_ALIAS, b"")), mac, bool(flags & _IFF_UP))
