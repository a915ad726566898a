"""Workloads and containers as the bodies of ``POST /containers/create``. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from havre.engines.docker.states import CONTAINER, INSTANCE, POOL, SANDBOX, WORKLOAD
from havre.kernel.quantities import CPU_UNITS_PER_CORE, MIB
from havre.kernel.workload import Container, LogTarget, Volume, Workload

_MIN_SHARES = 2
"""The least that Linux takes, and what ECS gives to a container with cpu 0."""

_ECS_LABELS = {
    "Cluster": "com.amazonaws.ecs.cluster",
    "Family": "com.amazonaws.ecs.task-definition-family",
    "Revision": "com.amazonaws.ecs.task-definition-version",
}


class Surroundings(msgspec.Struct, frozen=True):
    """What of the machine goes into every container: the instance, where log lines go."""

    instance: str
    log_socket: str = ""


def container_name(instance: str, workload: str, container: str) -> str:
    return f"havre-{instance}-{workload}-{container}"


def volume_source(instance: str, workload: str, volume: Volume) -> str:
    """What to mount: a path, a shared volume's name, or the name of the workload's own volume."""
    if volume.kind == "host" and volume.source:
        return volume.source
    if volume.kind == "docker" and volume.source:
        return volume.source
    return f"havre-{instance}-{workload}-{volume.name}"


def create_body(
    here: Surroundings, workload: Workload, container: Container, image: str, sandbox: str, group: str = ""
) -> dict[str, Any]:
    """``image`` and ``sandbox`` are ids ("" for no sandbox). ``group`` is the control group that holds the workload's
    limits; without one they hold each of its containers."""
    body: dict[str, Any] = {
        "Image": image,
        "Env": [f"{k}={v}" for k, v in container.environment.items()],
        "Labels": _labels(here, workload, container),
        "Tty": container.tty,
        "OpenStdin": container.interactive,
        "AttachStdin": False,
        "User": container.user,
        "WorkingDir": container.working_directory,
        "HostConfig": _host_config(here, workload, container, sandbox) | _limits(workload, container, group),
    }
    if container.command is not None:
        body["Cmd"] = list(container.command)
    if container.entry_point is not None:
        body["Entrypoint"] = list(container.entry_point)
    if container.stop_signal:
        body["StopSignal"] = container.stop_signal
    if check := container.health_check:
        body["Healthcheck"] = {
            "Test": list(check.command),
            "Interval": int(check.interval * 1e9),
            "Timeout": int(check.timeout * 1e9),
            "Retries": check.retries,
            "StartPeriod": int(check.start_period * 1e9),
        }
    _network(here, workload, container, sandbox, body)
    return body


def _labels(here: Surroundings, workload: Workload, container: Container) -> dict[str, str]:
    labels = dict(workload.labels) | dict(container.labels)
    labels |= {INSTANCE: here.instance, WORKLOAD: workload.id, CONTAINER: container.name}
    labels |= {label: workload.metadata[key] for key, label in _ECS_LABELS.items() if key in workload.metadata}
    return labels | {
        "com.amazonaws.ecs.task-arn": workload.arn,
        "com.amazonaws.ecs.container-name": container.name,
    }


def _host_config(here: Surroundings, workload: Workload, container: Container, sandbox: str) -> dict[str, Any]:
    config: dict[str, Any] = {
        "Binds": _binds(here, workload, container),
        "VolumesFrom": [
            f"{container_name(here.instance, workload.id, name)}:{'ro' if read_only else 'rw'}"
            for name, read_only in container.volumes_from
        ],
        "LogConfig": _log(here, workload, container),
        "Privileged": container.privileged,
        "ReadonlyRootfs": container.read_only_root,
        "CapAdd": list(container.capabilities_add),
        "CapDrop": list(container.capabilities_drop),
        "SecurityOpt": list(container.security_options),
        "Tmpfs": {t.path: ",".join((f"size={t.size_mib}m", *t.options)) for t in container.tmpfs},
        "Ulimits": [{"Name": u.name, "Soft": u.soft, "Hard": u.hard} for u in container.ulimits],
        "Devices": [
            {
                "PathOnHost": d.host_path,
                "PathInContainer": d.container_path or d.host_path,
                "CgroupPermissions": d.permissions,
            }
            for d in container.devices
        ],
        "PidMode": _joined(workload.pid_mode, sandbox),
        "IpcMode": _joined(workload.ipc_mode, sandbox),
    }
    if container.init:
        config["Init"] = True
    if container.shm_size_mib:
        config["ShmSize"] = container.shm_size_mib * MIB
    shared = workload.network == "awsvpc"
    sysctls = {k: v for k, v in container.sysctls.items() if not (shared and k.startswith("net."))}
    if sysctls:
        config["Sysctls"] = sysctls
    return config


def _joined(mode: str, sandbox: str) -> str:
    return f"container:{sandbox}" if mode == "task" else mode


def _limits(workload: Workload, container: Container, group: str) -> dict[str, Any]:
    memory = container.memory or (0 if group else workload.memory)
    limits: dict[str, Any] = {"CpuShares": max(container.cpu, _MIN_SHARES)}
    if group:
        limits["CgroupParent"] = group
    elif workload.cpu:
        limits["NanoCpus"] = workload.cpu * 1_000_000_000 // CPU_UNITS_PER_CORE
    if memory:
        limits["Memory"] = memory * MIB
    if container.memory_reservation:
        limits["MemoryReservation"] = container.memory_reservation * MIB
    if container.swap_mib is not None and memory:
        limits["MemorySwap"] = (memory + container.swap_mib) * MIB
        if container.swappiness is not None:
            limits["MemorySwappiness"] = container.swappiness
    return limits


def _binds(here: Surroundings, workload: Workload, container: Container) -> list[str]:
    volumes = {v.name: v for v in workload.volumes}
    return [
        f"{volume_source(here.instance, workload.id, volumes[m.volume])}:{m.path}:{'ro' if m.read_only else 'rw'}"
        for m in container.mounts
    ]


def _log(here: Surroundings, workload: Workload, container: Container) -> dict[str, Any]:
    target: LogTarget = container.log
    if target.driver == "awslogs":
        return {
            "Type": "fluentd",
            "Config": {
                "fluentd-address": f"unix://{here.log_socket}",
                "fluentd-async": "false",
                "fluentd-request-ack": "false",
                "fluentd-sub-second-precision": "true",
                "fluentd-retry-wait": "200ms",
                "fluentd-max-retries": "1000000",
                "tag": f"{workload.id}/{container.name}",
                **_buffer(target.options),
            },
        }
    if target.driver:
        return {"Type": target.driver, "Config": dict(target.options)}
    return {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "2"}}


def _buffer(options: Mapping[str, str]) -> dict[str, str]:
    """A container that must not wait for its lines to be taken loses those that its buffer has no room for."""
    if options.get("mode") != "non-blocking":
        return {}
    return {k: options[k] for k in ("mode", "max-buffer-size") if options.get(k)}


def _network(here: Surroundings, workload: Workload, container: Container, sandbox: str, body: dict[str, Any]) -> None:
    config = body["HostConfig"]
    if workload.network == "awsvpc":
        config["NetworkMode"] = f"container:{sandbox}"
        return
    config["NetworkMode"] = workload.network
    if container.hostname:
        body["Hostname"] = container.hostname
    config["Dns"] = list(container.dns)
    config["DnsSearch"] = list(container.dns_search)
    config["ExtraHosts"] = list(container.extra_hosts)
    if workload.network != "bridge":
        return
    config["Links"] = [_link(here, workload, link) for link in container.links]
    exposed: dict[str, Any] = {}
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in container.ports:
        spec = f"{port.container_port}/{port.protocol}"
        exposed[spec] = {}
        bindings.setdefault(spec, []).append({"HostPort": str(port.host_port or "")})
    body["ExposedPorts"] = exposed
    config["PortBindings"] = bindings


def _link(here: Surroundings, workload: Workload, link: str) -> str:
    name, _, alias = link.partition(":")
    return f"{container_name(here.instance, workload.id, name)}:{alias or name}"


def sandbox_body(here: Surroundings, image: str, hostname: str, *, isolate: bool, entry_point: str) -> dict[str, Any]:
    """A pause container. With ``isolate`` it starts in the host's network and leaves it by itself (see pause.py); without
    a ``hostname`` of its own those who join it would begin with this machine's."""
    return {
        "Image": image,
        "Hostname": hostname,
        "Entrypoint": [entry_point],
        "Labels": {INSTANCE: here.instance, POOL: "sandbox"},
        "HostConfig": {
            "NetworkMode": "host" if isolate else "none",
            "CapDrop": ["ALL"],
            "CapAdd": ["SYS_ADMIN"] if isolate else [],
            "IpcMode": "shareable",
            "LogConfig": {"Type": "none"},
            "ReadonlyRootfs": True,
            "CpuShares": _MIN_SHARES,
            "Dns": ["127.0.0.1"],
        },
    }


def place_body(here: Surroundings, image: str, hostname: str, entry_point: str) -> dict[str, Any]:
    """A pause container on Docker's bridge, whose network another one is to join."""
    body = sandbox_body(here, image, hostname, isolate=False, entry_point=entry_point)
    body["Labels"][POOL] = "bridge"
    body["HostConfig"]["NetworkMode"] = "bridge"
    return body


def sandbox_name(instance: str, workload: str) -> str:
    return container_name(instance, workload, SANDBOX)


def hosts_file(workload: Workload) -> str:
    """/etc/hosts of an awsvpc task: as ECS writes it, and what its containers ask for."""
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
    if workload.interface:
        lines.append(f"{workload.interface.address} {hostname(workload)}")
    for container in workload.containers:
        for extra in container.extra_hosts:
            name, _, address = extra.partition(":")
            lines.append(f"{address} {name}")
    return "\n".join(dict.fromkeys(lines)) + "\n"


def resolv_file(workload: Workload, resolver: str) -> str:
    """/etc/resolv.conf of an awsvpc task: the VPC's resolver unless its containers name others."""
    servers = [s for c in workload.containers for s in c.dns] or [resolver]
    search = [s for c in workload.containers for s in c.dns_search] or [_domain(workload)]
    lines = [f"search {' '.join(dict.fromkeys(search))}"]
    return "\n".join(lines + [f"nameserver {s}" for s in dict.fromkeys(servers)]) + "\n"


def hostname(workload: Workload) -> str:
    """``ip-10-0-0-5.us-west-2.compute.internal``, as AWS names the address."""
    interface = workload.interface
    if interface is None:
        return ""
    return interface.hostname or f"ip-{interface.address.replace('.', '-')}.{_domain(workload)}"


def _domain(workload: Workload) -> str:
    return "ec2.internal" if workload.region == "us-east-1" else f"{workload.region}.compute.internal"


def net_sysctls(workload: Workload) -> Mapping[str, str]:
    """Of the task's network namespace: Docker's defaults for containers, then what the containers ask for."""
    wanted = {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}
    for container in workload.containers:
        wanted |= {k: v for k, v in container.sysctls.items() if k.startswith("net.")}
    return wanted
