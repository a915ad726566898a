"""Whether networks can be made on this machine: tried, not guessed."""

from __future__ import annotations

import os
import threading

from havre.engines.host_network import namespaces, nft
from havre.engines.host_network.netlink import Netlink
from havre.kernel.errors import Permanent

_SAMPLE = """table inet havre {
set s { type ipv4_addr; }
map m { type ipv4_addr : verdict; }
chain c { ct state established accept; ip saddr @s tcp dport 80 accept; ip saddr vmap @m; }
chain f { type filter hook forward priority 10; policy drop; jump c; }
chain n { type nat hook postrouting priority srcnat; masquerade; }
}"""
"""Of each kind of thing that rules.py writes, one."""


def why_not() -> str:
    """ "" when networks can be made here: all that one is made of is tried, on a thread that ends with it."""
    if os.geteuid() != 0:
        return "VPC networks need root (or CAP_NET_ADMIN and CAP_SYS_ADMIN): Havre runs as an ordinary user"
    missing = nft.why_not()
    if missing:
        return missing
    found: list[str] = []

    def probe() -> None:
        try:
            namespaces.leave()
            netlink, own = Netlink(), os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            try:
                netlink.add_holder("havre")
                netlink.add_veth("havre0", "havre1", own)
            finally:
                netlink.close()
                os.close(own)
            nftables = nft.Nft()
            nftables.run(_SAMPLE)
            nftables.close()
        except (OSError, Permanent) as error:
            found.append(f"VPC networks cannot be made here: {error}")

    thread = threading.Thread(target=probe, name="network-probe")
    thread.start()
    thread.join()
    return found[0] if found else ""
