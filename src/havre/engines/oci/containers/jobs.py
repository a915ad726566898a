"""What a container is started with: whose namespaces, which files and volumes, which names."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import quote

from havre.engines.docker import spec as docker
from havre.engines.oci.containers.image_cache import Stored
from havre.engines.oci.containers.kept import Kept
from havre.engines.oci.containers.volumes import Volumes
from havre.kernel.errors import Permanent
from havre.kernel.workload import Workload

_NAMESERVERS = ("8.8.8.8", "8.8.4.4")
"""Docker's, for a machine that has none that its containers could reach."""
_SHM = "/dev/shm"  # noqa: S108 (of a container)
_KINDS = {"pid": "pid", "ipc": "ipc", "network": "net"}


def labels(instance: str, workload: Workload, container: str, own: Mapping[str, str]) -> dict[str, str]:
    """As Docker's containers have them."""
    return {
        **workload.labels,
        **own,
        "havre.instance": instance,
        "havre.workload": workload.id,
        "havre.container": container,
        "com.amazonaws.ecs.task-arn": workload.arn,
        "com.amazonaws.ecs.container-name": container,
    }


def hostname(kept: Kept) -> str:
    record = kept.record
    if record.network == "awsvpc":
        return docker.hostname(_workload(kept))[:64]
    if record.spec.hostname:
        return record.spec.hostname
    return socket.gethostname() if record.network == "host" else record.id[:12]


def _workload(kept: Kept) -> Workload:
    """As much of it as names need."""
    r = kept.record
    return Workload(r.workload, "", "", r.region, (r.spec,), network=r.network, interface=r.interface)


def namespaces(kept: Kept, *, version2: bool) -> dict[str, str]:
    """Kind → the path of one to join, or "" for a new one; kinds that are left out are this machine's."""
    record = kept.record
    found = {"mount": "", "uts": "", "network": "", "pid": "", "ipc": ""}
    if version2:
        found["cgroup"] = ""
    wanted = {"pid": record.pid_mode, "ipc": record.ipc_mode, "network": record.network}
    for kind, mode in wanted.items():
        if mode == "host":
            del found[kind]
        elif mode in ("task", "awsvpc"):
            if not record.sandbox:
                raise Permanent(f"there is no sandbox whose {kind} namespace could be joined")
            found[kind] = f"/proc/{record.sandbox}/ns/{_KINDS[kind]}"
    return found


def mounts(
    kept: Kept, image: Stored, volumes: Volumes, others: Mapping[str, Kept], shared_memory: Path
) -> list[tuple[str, str, bool, bool]]:
    """As launch.Job has them. ``others``: the workload's containers by name. Raises Permanent, OSError."""
    record = kept.record
    found: dict[str, tuple[str, str, bool, bool]] = {}
    for name in ("hosts", "resolv.conf", "hostname"):
        found[f"/etc/{name}"] = (str(kept.place.path / name), f"/etc/{name}", False, False)
    if record.ipc_mode == "task":
        found[_SHM] = (str(shared_memory), _SHM, False, False)
    for path in image.volumes:
        if not path.strip("/"):
            raise Permanent(f"invalid volume specification: {path!r}")
        own = kept.place.anonymous / quote(path, safe="")
        own.mkdir(mode=0o755, parents=True, exist_ok=True)
        found[path] = (str(own), path, False, True)
    for name, read_only in record.spec.volumes_from:
        other = others.get(name)
        if other is None:
            raise Permanent(f"No such container: {name}")
        for source, path in _own_volumes(other, volumes):
            found[path] = (source, path, read_only, False)
    known = {v.name: v for v in record.volumes}
    for mount in record.spec.mounts:
        volume = known[mount.volume]
        place = volumes.ensure(record.workload, volume)
        filled = not (volume.kind == "host" and volume.source)
        found[mount.path] = (str(place), mount.path, mount.read_only, filled)
    return list(found.values())


def _own_volumes(other: Kept, volumes: Volumes) -> list[tuple[str, str]]:
    known = {v.name: v for v in other.record.volumes}
    found = [(str(volumes.source(other.record.workload, known[m.volume])), m.path) for m in other.record.spec.mounts]
    mounted = {path for _, path in found}
    if other.place.anonymous.is_dir():
        for path in other.image_volumes:
            if path not in mounted:
                found.append((str(other.place.anonymous / quote(path, safe="")), path))
    return found


def write_files(kept: Kept, address: str, linked: Mapping[str, Sequence[str]], resolver: str) -> None:
    """Its hosts file and the like. ``linked``: address → names. Raises OSError."""
    record, place = kept.record, kept.place.path
    if record.network == "awsvpc":
        work = _workload(kept)
        hosts, resolv = docker.hosts_file(work), docker.resolv_file(work, resolver)
    else:
        hosts, resolv = _hosts(kept, address, linked), _resolv(kept)
    for name, text in (("hosts", hosts), ("resolv.conf", resolv), ("hostname", hostname(kept) + "\n")):
        path = place / name
        path.write_text(text)
        path.chmod(0o644)


def _hosts(kept: Kept, address: str, linked: Mapping[str, Sequence[str]]) -> str:
    record = kept.record
    if record.network == "host":
        lines = [Path("/etc/hosts").read_text().rstrip("\n")]
    else:
        lines = ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback"]
    if address:
        lines.append(f"{address}\t{hostname(kept)}")
    for extra in record.spec.extra_hosts:
        name, _, to = extra.partition(":")
        lines.append(f"{to}\t{name}")
    lines += [f"{to}\t{' '.join(names)}" for to, names in linked.items()]
    return "\n".join(lines) + "\n"


def _resolv(kept: Kept) -> str:
    """This machine's, but for servers on its loopback interface, which others cannot reach."""
    spoken, host = kept.record.spec, kept.record.network == "host"
    path = Path("/etc/resolv.conf")
    resolved = Path("/run/systemd/resolve/resolv.conf")
    lines = path.read_text().splitlines() if path.exists() else []
    if not host and any(line.split()[1:2] == ["127.0.0.53"] for line in lines) and resolved.exists():
        lines = resolved.read_text().splitlines()
    words = [line.split() for line in lines if line.strip() and line[0] not in "#;"]
    servers = [w[1] for w in words if w[0] == "nameserver" and len(w) > 1 and (host or _is_reachable(w[1]))]
    search = [s for w in words if w[0] in ("search", "domain") for s in w[1:]]
    options = [" ".join(w) for w in words if w[0] == "options"]
    servers = list(spoken.dns) or servers or ([] if host else list(_NAMESERVERS))
    search = list(spoken.dns_search) or search
    told = [f"search {' '.join(search)}"] if search else []
    return "\n".join([*told, *(f"nameserver {s}" for s in servers), *options]) + "\n"


def _is_reachable(server: str) -> bool:
    try:
        address = ip_address(server.partition("%")[0])
    except ValueError:
        return False
    return address.version == 4 and not address.is_loopback


def names_of_links(kept: Kept, others: Mapping[str, Kept]) -> dict[str, list[str]]:
    """Address → names of the containers that it is linked to. Raises Permanent."""
    found: dict[str, list[str]] = {}
    for link in kept.record.spec.links:
        name, _, alias = link.partition(":")
        other = others.get(name)
        if other is None or not other.running or other.run is None:
            raise Permanent(f"Cannot link to a non running container: {name}")
        found[other.run.address] = list(dict.fromkeys([alias or name, hostname(other), name]))
    return found
