"""Container instances as DescribeContainerInstances shows them."""

from __future__ import annotations

from typing import Any

from havre.control.nodes import NODE, NodeStatus
from havre.core.placement import Machine
from havre.kernel.resource import scoped
from havre.services.ecs.ledger import RESERVED_PORTS, Ledger
from havre.services.ecs.queries import InstanceRecord
from havre.services.ecs.resources import TASK
from havre.services.ecs.rules.common import tag_list
from havre.store.ports import Reader

RESERVED = tuple(str(port) for port in sorted(RESERVED_PORTS))


def present(reader: Reader, ledger: Ledger, record: InstanceRecord, with_tags: bool = False) -> dict[str, Any]:
    m, spec = record.meta, record.spec
    machine = ledger.machine(spec.node)
    node = reader.get(NODE, "", "", spec.node)
    status = node.status if node is not None else NodeStatus()
    tasks = reader.find(TASK, "instance", scoped(m.account, m.region, m.name))
    running = sum(1 for t in tasks if t.status.last == "RUNNING")
    starting = sum(1 for t in tasks if t.status.last in ("PROVISIONING", "PENDING", "ACTIVATING"))
    return {
        "containerInstanceArn": m.arn,
        "ec2InstanceId": spec.ec2,
        "version": m.version,
        "versionInfo": {"dockerVersion": f"DockerVersion: {status.engine_version}"} if status.engine_version else {},
        "registeredResources": _resources(machine.cpu, machine.memory, RESERVED, ()),
        "remainingResources": _remaining(machine),
        "status": spec.state,
        "agentConnected": status.connected,
        "runningTasksCount": running,
        "pendingTasksCount": starting,
        "attributes": _attributes(ledger, record),
        "registeredAt": m.created,
        "attachments": [],
        "tags": tag_list(spec.tags) if with_tags else [],
    }


def _attributes(ledger: Ledger, record: InstanceRecord) -> list[dict[str, str]]:
    known = {**ledger.builtin(record.spec.node, record.meta.region), **record.spec.attributes}
    return [{"name": name, **({"value": value} if value else {})} for name, value in sorted(known.items())]


def _remaining(machine: Machine) -> list[dict[str, Any]]:
    tcp = (*RESERVED, *(str(port) for port in sorted(machine.tcp.keys() | machine.busy)))
    udp = tuple(str(port) for port in sorted(machine.udp.keys() | machine.busy_udp))
    return _resources(machine.free_cpu, machine.free_memory, tcp, udp)


def _resources(cpu: int, memory: int, tcp: tuple[str, ...], udp: tuple[str, ...]) -> list[dict[str, Any]]:
    numbers = [("CPU", cpu), ("MEMORY", memory)]
    ports = [("PORTS", tcp), ("PORTS_UDP", udp)]
    base = {"doubleValue": 0.0, "longValue": 0, "integerValue": 0}
    return [
        *({**base, "name": name, "type": "INTEGER", "integerValue": value} for name, value in numbers),
        *({**base, "name": n, "type": "STRINGSET", "stringSetValue": list(dict.fromkeys(v))} for n, v in ports),
    ]
