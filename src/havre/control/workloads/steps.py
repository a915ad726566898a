"""Carrying out a step: each is idempotent, and tells the worker what it has made."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from havre.control.workloads import shares
from havre.core.workload_steps import (
    Clean,
    Connect,
    CreateContainer,
    Pull,
    Release,
    Sandbox,
    StartContainer,
    StopContainer,
    Volumes,
)
from havre.engines.ports import Image
from havre.kernel.effects import Effect
from havre.kernel.errors import Gone, Permanent
from havre.kernel.workload import Container, Registry

if TYPE_CHECKING:
    from havre.control.workloads.worker import Worker


_CLEANED_AFTER = 0.2
"""Seconds."""


async def carry_out(worker: Worker, step: Effect) -> None:
    """Raises Temporary, Permanent or Gone."""
    match step:
        case Pull():
            await _pull(worker, step.container)
        case Sandbox():
            await _sandbox(worker)
        case Connect():
            await connect(worker)
            worker.memory = msgspec.structs.replace(worker.memory, connected=True)
        case Volumes():
            await _volumes(worker)
            worker.memory = msgspec.structs.replace(worker.memory, volumes=True)
        case CreateContainer():
            await _create(worker, step.container)
        case StartContainer():
            worker.changed(step.container, await worker.agent.parts.containers.start(step.id))
        case StopContainer():
            await _stop(worker, step)
        case Release():
            await _release(worker)
        case Clean():
            await _clean(worker)
        case _:
            raise TypeError(f"no such step: {step!r}")


def _container(worker: Worker, name: str) -> Container:
    return next(c for c in worker.workload.containers if c.name == name)


async def _pull(worker: Worker, name: str) -> None:
    container = _container(worker, name)
    parts, registry = worker.agent.parts, container.registry
    if container.registry_secret:
        about = {"workload": worker.workload.id, "container": name}
        registry = msgspec.convert(await parts.reports.ask("registry", about), Registry)
    image = await parts.containers.pull(container.image, registry)
    images = dict(worker.memory.images) | {name: (image.id, image.digest)}
    worker.memory = msgspec.structs.replace(worker.memory, images=images)


async def _sandbox(worker: Worker) -> None:
    worker.changed("", await worker.agent.parts.containers.sandbox(worker.workload))
    worker.memory = msgspec.structs.replace(worker.memory, sandboxed=True)


async def connect(worker: Worker) -> None:
    """The interface into the sandbox, and the metadata endpoint; also again after a restart of the node."""
    workload, parts, sandbox = worker.workload, worker.agent.parts, worker.sandbox
    if workload.network != "awsvpc":
        await parts.metadata.open(workload, 0)
    elif workload.interface and sandbox:
        await worker.agent.networks.ready(workload.interface.vpc)
        await parts.network.attach(workload.interface, sandbox.pid)
        await parts.metadata.open(workload, sandbox.pid)


async def _create(worker: Worker, name: str) -> None:
    workload, parts = worker.workload, worker.agent.parts
    if workload.network != "awsvpc":
        await parts.metadata.open(workload, 0)
    workload = shares.placed(workload, parts.shares)
    container = next(c for c in workload.containers if c.name == name)
    about = {"workload": workload.id, "container": name}
    files = await parts.reports.ask("environment files", about) if container.environment_files else {}
    environment = {**parts.metadata.environment(workload, container), **files, **container.environment}
    if container.secrets:
        environment |= await parts.reports.ask("secrets", about)
    dns = container.dns or parts.metadata.resolvers(workload)
    container = msgspec.structs.replace(container, environment=environment, dns=dns)
    id, digest = worker.memory.images[name]
    async with worker.agent.creates:
        made = await parts.containers.create(workload, container, Image(id, digest), worker.sandbox)
    worker.changed(name, made)


async def _volumes(worker: Worker) -> None:
    workload, parts = worker.workload, worker.agent.parts
    for volume in workload.volumes:
        if volume.share is None:
            await parts.containers.ensure_volume(workload, volume)
    for share, user in shares.wanted(workload):
        if parts.shares is None:
            raise Permanent("this node mounts no file systems")
        await parts.shares.ensure(share, user)


async def _stop(worker: Worker, step: StopContainer) -> None:
    containers = worker.agent.parts.containers
    await worker.agent.networks.applied()
    await containers.stop(step.id, step.timeout)
    try:
        worker.changed(step.container, await containers.inspect(step.id))
    except Gone:
        worker.changed(step.container, None)


async def _release(worker: Worker) -> None:
    workload, parts = worker.workload, worker.agent.parts
    parts.metadata.close(workload.id)
    if workload.interface:
        await parts.network.detach(workload.interface.eni)
    worker.memory = msgspec.structs.replace(worker.memory, released=True)


async def _clean(worker: Worker) -> None:
    """Containers first, the sandbox last: it is what the others have joined. Not at once: where the end of one lets the
    next one start, that goes first."""
    containers = worker.agent.parts.containers
    await asyncio.sleep(_CLEANED_AFTER)
    found = await containers.containers(worker.workload.id)
    for state in sorted(found, key=lambda s: not s.container):
        await containers.remove(state.id)
        worker.changed(state.container, None)
    worker.containers.clear()
    worker.sandbox = None
    if any((v.kind != "host" or not v.source) and v.share is None for v in worker.workload.volumes):
        await containers.remove_volumes(worker.workload.id)
    await containers.tidy(worker.agent.others(worker))
    worker.memory = msgspec.structs.replace(worker.memory, cleaned=True)
