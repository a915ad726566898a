"""What passes between the services and the nodes, as resources: nodes, and what they are told to run.

A service writes ``spec``; the node link streams it to the node and writes what the node reports into ``status``. So a
service needs to know nothing of links, and a link nothing of ECS. Names: a workload is named by its id, a VPC and a
balancer likewise; account and region are those of the owner.
"""

from __future__ import annotations

from hashlib import sha256

import msgspec

from havre.kernel.balancer import Balancer, BalancerStatus
from havre.kernel.resource import Kind, NoStatus
from havre.kernel.vpc import Vpc
from havre.kernel.workload import Workload, WorkloadStatus


class NodeSpec(msgspec.Struct, frozen=True):
    """``active`` False takes no new workloads (draining)."""

    active: bool = True


class NodeStatus(msgspec.Struct, frozen=True):
    """CPU in units of 1/1024 core, memory in MiB. ``engine_error`` and ``network_error`` say in words what does not work
    ("" when it does): a node without an engine takes no workloads, one without networks none in awsvpc mode.
    ``address`` is where host ports answer."""

    connected: bool = False
    since: float = 0.0
    """When this connection began: what is known of its workloads may be as old as the last one."""
    cpu: int = 0
    memory: int = 0
    architecture: str = "x86_64"
    engine: str = ""
    engine_version: str = ""
    kernel: str = ""
    address: str = "127.0.0.1"
    zone: str = "a"
    engine_error: str = ""
    network_error: str = ""
    used_host_ports: tuple[int, ...] = ()
    """TCP ports of the machine that something else than its workloads listens on."""
    used_udp_ports: tuple[int, ...] = ()
    microvm: bool = False


class WorkloadSpec(msgspec.Struct, frozen=True):
    node: str
    workload: Workload


class WorkloadReport(msgspec.Struct, frozen=True):
    """None until the node has said something."""

    report: WorkloadStatus | None = None


class VpcSpec(msgspec.Struct, frozen=True):
    vpc: Vpc


class BalancerSpec(msgspec.Struct, frozen=True):
    node: str
    balancer: Balancer


class BalancerReport(msgspec.Struct, frozen=True):
    report: BalancerStatus | None = None


NODE: Kind[NodeSpec, NodeStatus] = Kind("node.node", NodeSpec, NodeStatus)
WORKLOAD: Kind[WorkloadSpec, WorkloadReport] = Kind(
    "node.workload",
    WorkloadSpec,
    WorkloadReport,
    {
        "node": lambda r: r.spec.node,
        "vpc": lambda r: r.spec.workload.interface.vpc if r.spec.workload.interface else None,
    },
)
VPC: Kind[VpcSpec, NoStatus] = Kind("node.vpc", VpcSpec, NoStatus)
BALANCER: Kind[BalancerSpec, BalancerReport] = Kind(
    "node.balancer", BalancerSpec, BalancerReport, {"node": lambda r: r.spec.node, "vpc": lambda r: r.spec.balancer.vpc}
)
KINDS = (NODE, WORKLOAD, VPC, BALANCER)


def ec2_instance(node: str) -> str:
    """The EC2 instance id that a node goes by, in ECS's container instances, as a target, and in DescribeInstances."""
    return f"i-{sha256(node.encode()).hexdigest()[:17]}"
