"""The host's network: a VPC is one network namespace, tasks hang on it by veth pairs, nftables filters there.

The rule of this package: a VPC is routed, not bridged. Each interface is a route of its own in the VPC's namespace, so that
every packet, between two tasks of one subnet too, is forwarded by it and passes its security groups; no bridge, no module
beyond veth, dummy and nf_tables is needed, and a task cannot speak for an address that is not its own. Everything is named
after this instance, and found by name and alias after a restart: nothing else on the machine is touched.
"""

from havre.engines.host_network.engine import HostNetwork

__all__ = ["HostNetwork"]
