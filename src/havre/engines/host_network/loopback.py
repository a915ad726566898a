"""Link-local addresses that the host lends to its loopback interface, shared by all instances on the machine."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

from havre.engines.host_network.netlink import Netlink

_LOOPBACK = 1
_LISTENING = "0A"
_TABLE = Path("/proc/net/tcp")


def give_back(addresses: Sequence[str]) -> None:
    """Take the addresses off again, but for those on which somebody listens. Raises OSError."""
    used = listening(_TABLE.read_text())
    netlink = Netlink()
    try:
        held = {address for index, address in netlink.addresses() if index == _LOOPBACK}
        for address in addresses:
            if address in held and address not in used:
                netlink.remove_address(_LOOPBACK, address)
    finally:
        netlink.close()


def listening(table: str) -> set[str]:
    """The addresses of the listening sockets in the text of /proc/net/tcp."""
    found = set()
    for line in table.splitlines()[1:]:
        words = line.split()
        if len(words) > 3 and words[3] == _LISTENING:
            number = bytes.fromhex(words[1].partition(":")[0])
            found.add(socket.inet_ntoa(number[::-1]))
    return found
