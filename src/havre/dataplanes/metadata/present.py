"""Workloads as the task metadata endpoint shows them: the only file of this package that knows AWS's field names. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any

from havre.control.workloads.parts import View
from havre.engines.ports import Mounted, RunState
from havre.kernel.workload import Container, ContainerStatus, Workload

Json = dict[str, Any]

_UNITS = 1024
_TASK_STATES = {"PENDING": "NONE", "ACTIVATING": "CREATED", "STOPPED": "STOPPED"}
_CONTAINER_STATES = {"PENDING": "NONE", "PULLING": "NONE"}
_ONLY_IN_V4 = ("ContainerARN", "LogDriver", "LogOptions")


def task(view: View, resolvers: Sequence[str]) -> Json:
    """Of ``/v4/<id>/task``."""
    work, status = view.workload, view.status
    told: Json = {
        "Cluster": work.metadata.get("Cluster", ""),
        "TaskARN": work.arn,
        "Family": work.metadata.get("Family", ""),
        "Revision": work.metadata.get("Revision", ""),
        "DesiredStatus": work.desired,
        "KnownStatus": _TASK_STATES.get(status.phase, "RUNNING") if status else "NONE",
        "Limits": _task_limits(work),
        "PullStartedAt": _time(status.pull_started if status else None),
        "PullStoppedAt": _time(status.pull_stopped if status else None),
        "ExecutionStoppedAt": _time(status.execution_stopped if status else None),
        "AvailabilityZone": work.metadata.get("AvailabilityZone", ""),
        "LaunchType": work.metadata.get("LaunchType", ""),
        "Containers": [container(view, c.name, resolvers) for c in work.containers],
        "VPCID": work.metadata.get("VPCID", ""),
        "ServiceName": work.metadata.get("ServiceName", ""),
    }
    return {**_without_empty(told), "FaultInjectionEnabled": False}


def container(view: View, name: str, resolvers: Sequence[str]) -> Json:
    """Of ``/v4/<id>``."""
    work = view.workload
    spec = next(c for c in work.containers if c.name == name)
    status = next((c for c in view.status.containers if c.name == name), None) if view.status else None
    status = status or ContainerStatus(name)
    state = view.containers.get(name)
    told: Json = {
        "DockerId": status.runtime_id or (state.id if state else ""),
        "Name": name,
        "DockerName": state.name if state else "",
        "Image": spec.image,
        "ImageID": status.image_digest,
        "Ports": [_port(p.container_port, p.protocol, p.host_port, p.bind_ip) for p in status.ports],
        "Labels": _labels(work, spec, state),
        "DesiredStatus": work.desired,
        "KnownStatus": _known(status),
        "ExitCode": status.exit_code,
        "Limits": _limits(work, spec),
        "CreatedAt": _time(state.created if state else None),
        "StartedAt": _time(status.started),
        "FinishedAt": _time(status.finished),
        "Type": "NORMAL",
        "Health": {"status": status.health} if spec.health_check else None,
        "LogDriver": spec.log.driver or "json-file",
        "LogOptions": _log_options(spec),
        "Volumes": [_volume(m) for m in state.mounts] if state else [],
        "ContainerARN": spec.arn,
        "Networks": [_network(view, state, resolvers)],
    }
    return _without_empty(told)


def older(told: Json) -> Json:
    """A container or a task as version 3 shows it."""
    shown = {k: v for k, v in told.items() if k not in _ONLY_IN_V4}
    for member in ("LaunchType", "ServiceName", "VPCID", "FaultInjectionEnabled"):
        shown.pop(member, None)
    if "Networks" in shown:
        shown["Networks"] = [
            {k: v for k, v in n.items() if k in ("NetworkMode", "IPv4Addresses")} for n in shown["Networks"]
        ]
    if "Containers" in shown:
        shown["Containers"] = [older(c) for c in shown["Containers"]]
    return shown


def _without_empty(told: Json) -> Json:
    return {k: v for k, v in told.items() if v is not None and v not in ("", [], {})}


def _time(at: float | None) -> str | None:
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _task_limits(work: Workload) -> Json:
    limits: Json = {"CPU": work.cpu / _UNITS} if work.cpu else {}
    return {**limits, "Memory": work.memory} if work.memory else limits


def _limits(work: Workload, spec: Container) -> Json:
    """Fargate does not tell of a memory limit that there is not, and gives no container less than two shares."""
    if work.metadata.get("LaunchType") != "FARGATE":
        return {"CPU": spec.cpu, "Memory": spec.memory}
    limits = {"CPU": max(spec.cpu, 2)}
    return {**limits, "Memory": spec.memory} if spec.memory else limits


def _volume(mounted: Mounted) -> Json:
    return _without_empty({"DockerName": mounted.name, "Source": mounted.source, "Destination": mounted.destination})


def _known(status: ContainerStatus) -> str:
    if status.state in _CONTAINER_STATES and status.image_digest:
        return "PULLED"
    return _CONTAINER_STATES.get(status.state, status.state)


def _port(container: int, protocol: str, host: int, bind: str) -> Json:
    return {"ContainerPort": container, "Protocol": protocol, "HostPort": host, "HostIp": bind}


def _labels(work: Workload, spec: Container, state: RunState | None) -> Mapping[str, str]:
    """As the container has them; without those that only say which Havre made it."""
    labels = state.labels if state else {**work.labels, **spec.labels}
    return {k: v for k, v in labels.items() if not k.startswith("havre.")}


def _log_options(spec: Container) -> Json:
    if spec.log.driver != "awslogs":
        return dict(spec.log.options)
    options = {k: v for k, v in spec.log.options.items() if k != "awslogs-stream-prefix"}
    return {**options, "awslogs-stream": spec.log.stream}


def _network(view: View, state: RunState | None, resolvers: Sequence[str]) -> Json:
    work, told = view.workload, view.workload.interface
    if told is None:
        address = state.address if state else ""
        return _without_empty({"NetworkMode": work.network, "IPv4Addresses": [address] if address else []})
    name = told.hostname or f"ip-{told.address.replace('.', '-')}"
    return _without_empty(
        {
            "NetworkMode": "awsvpc",
            "IPv4Addresses": [told.address],
            "AttachmentIndex": 0,
            "MACAddress": told.mac,
            "IPv4SubnetCIDRBlock": view.subnet,
            "DomainNameServers": list(resolvers),
            "DomainNameSearchList": [name.partition(".")[2]] if "." in name else [],
            "PrivateDNSName": name,
            "SubnetGatewayIpv4Address": _gateway(view.subnet),
        }
    )


def _gateway(cidr: str) -> str:
    """The first address of the subnet is its router."""
    if not cidr:
        return ""
    network = ip_network(cidr)
    return f"{network.network_address + 1}/{network.prefixlen}"
