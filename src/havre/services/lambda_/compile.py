"""From records to what nodes run: ``kernel.function.Function``."""

from __future__ import annotations

import hashlib

import msgspec
from msgspec.structs import replace

from havre.kernel.function import Function, FunctionShare
from havre.services.lambda_ import sealing
from havre.services.lambda_.queries import function_arn
from havre.services.lambda_.resources import LATEST, Configuration, FunctionR, VersionR


def function_of(record: FunctionR | VersionR) -> Function | None:
    """What invocations of this version run now: while an update is in progress, what was before. None when it never was
    ready."""
    serving = record.status.serving
    return None if serving is None else compiled(record, serving)


def wanted_of(record: FunctionR | VersionR) -> Function:
    """What is to be prepared."""
    return compiled(record, record.spec.config)


def compiled(record: FunctionR | VersionR, config: Configuration) -> Function:
    """The id is a digest of everything, and of which function of that name it is."""
    spec, m = record.spec, record.meta
    image, managed = config.image, config.managed
    made = Function(
        id="",
        arn=function_arn(m.account, m.region, spec.function, spec.number),
        account=m.account,
        region=m.region,
        name=spec.function,
        version=spec.number,
        code=config.code,
        role=config.role,
        logs=config.logs,
        runtime=config.runtime,
        handler=config.handler,
        architecture=config.architecture,
        layers=tuple(layer.code for layer in config.layers),
        environment=config.environment,
        sealed=sealing.digest(config.sealed),
        shares=tuple(FunctionShare(use.path, use.access_point) for use in config.file_systems),
        memory=config.memory,
        timeout=config.timeout,
        temporary=config.temporary,
        tracing=config.tracing,
        entry_point=image.entry_point if image else None,
        command=image.command if image else None,
        working_directory=image.working_directory if image else "",
        network=managed.network if managed else config.network,
        snap_start=config.snap_start and spec.number != LATEST,
        debug_port=_debug_port(config),
        concurrency=managed.concurrency if managed else 0,
        cpus=managed.cpus(config.memory) if managed else 0.0,
    )
    digest = hashlib.sha256(spec.uid.encode() + msgspec.msgpack.encode(made))
    return replace(made, id=digest.hexdigest()[:40])


def _debug_port(config: Configuration) -> int:
    """What ``havre lambda dev`` asks for. For code in a directory alone, which is the installation's own account's: nobody
    else opens ports of this machine."""
    port = config.environment.get("HAVRE_DEBUG_PORT", "")
    fit = config.code.kind == "directory" and port.isdecimal() and len(port) < 6 and 1024 <= int(port) < 65536
    return int(port) if fit else 0
