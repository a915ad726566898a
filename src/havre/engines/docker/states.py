"""What Docker says about containers, as the port says it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from havre.engines.ports import Mounted, RunState
from havre.kernel.workload import BoundPort

INSTANCE = "havre.instance"
WORKLOAD = "havre.workload"
CONTAINER = "havre.container"
POOL = "havre.pool"
ADDRESS = "havre.address"
"""Of a container that has joined another's network, of which Docker does not tell it."""

SANDBOX = ".sandbox"
"""Stands for the container's name in the name of a workload's sandbox; no container of a user can be called so."""

_STATES = {"created": "created", "running": "running", "paused": "running", "restarting": "running", "dead": "dead"}
_HEALTH = {"healthy": "HEALTHY", "unhealthy": "UNHEALTHY"}


def timestamp(text: str) -> float | None:
    """Docker's ``2026-11-24T04:10:11.123456789Z``; None for the zero time, which is how Docker says never."""
    if not text or text.startswith("0001-"):
        return None
    whole, _, fraction = text.removesuffix("Z").partition(".")
    if "+" in whole or len(whole) > 19:
        return datetime.fromisoformat(text).timestamp()
    if "+" in fraction or "-" in fraction:
        zone = max(fraction.find("+"), fraction.find("-"))
        return datetime.fromisoformat(whole + fraction[zone:]).timestamp() + float(f"0.{fraction[:zone]}")
    base = datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp()
    return base + float(f"0.{fraction or 0}")


def workload_of(name: str, labels: Mapping[str, str]) -> str:
    """The workload of a container. A sandbox comes from a pool, unlabelled: its name tells."""
    if WORKLOAD in labels:
        return labels[WORKLOAD]
    prefix = f"havre-{labels.get(INSTANCE, '')}-"
    if name.startswith(prefix) and name.endswith(f"-{SANDBOX}"):
        return name.removeprefix(prefix).removesuffix(f"-{SANDBOX}")
    return ""


def from_inspect(answer: Mapping[str, Any]) -> RunState:
    """Of ``GET /containers/ID/json``."""
    state, config = answer["State"], answer["Config"]
    labels = config.get("Labels") or {}
    name = answer["Name"].lstrip("/")
    status = _STATES.get(state["Status"], "exited")
    started = timestamp(state.get("StartedAt", ""))
    over = status in ("exited", "dead")
    networks = (answer.get("NetworkSettings") or {}).get("Networks") or {}
    return RunState(
        id=answer["Id"],
        name=name,
        workload=workload_of(name, labels),
        container=labels.get(CONTAINER, ""),
        state=status,
        pid=state.get("Pid", 0),
        exit_code=state.get("ExitCode") if over else None,
        oom_killed=bool(state.get("OOMKilled")),
        error=state.get("Error") or "",
        health=_HEALTH.get((state.get("Health") or {}).get("Status", ""), "UNKNOWN"),
        started=started,
        finished=timestamp(state.get("FinishedAt", "")) if over else None,
        ports=_ports((answer.get("NetworkSettings") or {}).get("Ports") or {}),
        address=next((n["IPAddress"] for n in networks.values() if n.get("IPAddress")), labels.get(ADDRESS, "")),
        labels=labels,
        created=timestamp(answer.get("Created", "")),
        mounts=tuple(
            Mounted(m.get("Name", ""), m.get("Source", ""), m.get("Destination", ""))
            for m in answer.get("Mounts") or ()
        ),
    )


def _ports(bindings: Mapping[str, Any]) -> tuple[BoundPort, ...]:
    """IPv4 first, as ECS reports one binding a port."""
    found: dict[tuple[int, int, str], BoundPort] = {}
    for spec, hosts in bindings.items():
        port, _, protocol = spec.partition("/")
        for host in sorted(hosts or (), key=lambda h: ":" in h["HostIp"]):
            key = int(port), int(host["HostPort"]), protocol
            found.setdefault(key, BoundPort(*key, bind_ip=host["HostIp"] or "0.0.0.0"))
    return tuple(sorted(found.values(), key=lambda p: (p.container_port, p.protocol, p.host_port)))
