"""From a request's members to a ``Configuration``: what CreateFunction and UpdateFunctionConfiguration have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Call, Request
from havre.kernel.arn import Arn
from havre.kernel.function import FunctionLogs
from havre.services.lambda_ import grants, mounting, sealing
from havre.services.lambda_.capacity_queries import use
from havre.services.lambda_.errors import absent, invalid
from havre.services.lambda_.layer_queries import used_layers
from havre.services.lambda_.networks import network
from havre.services.lambda_.package import Package
from havre.services.lambda_.resources import Configuration, Durable, ImageOverrides
from havre.services.lambda_.roles import check_role
from havre.services.lambda_.rules import archives, managed, runtimes, tenants, values

MEMBERS = (
    "Role Handler Description Timeout MemorySize VpcConfig Environment Runtime DeadLetterConfig TracingConfig Layers "
    "ImageConfig EphemeralStorage SnapStart LoggingConfig DurableConfig CapacityProviderConfig KMSKeyArn FileSystemConfigs"
)
"""Of both requests."""
_YEAR = 31_622_400
_SHOWN_EMPTY = ("Environment", "VpcConfig")
_IN_VPC = ("ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DeleteNetworkInterface")


async def configured(call: Call, request: Request, old: Configuration, name: str) -> Configuration:
    """``old`` with what the request brings. Raises ApiError; looks at roles, layers and networks, changes nothing."""
    config = plain(request, old, name)
    if "CapacityProviderConfig" in request:
        config = replace(config, managed=await use(call, request["CapacityProviderConfig"], config, old))
    check(config)
    if "Role" in request:
        await check_role(call, config.role)
    if "VpcConfig" in request:
        config = replace(config, network=await network(call, request["VpcConfig"]))
    if "Layers" in request:
        config = replace(config, layers=await used_layers(call, request["Layers"], config))
    if config.file_systems or "FileSystemConfigs" in request:
        config = replace(config, file_systems=await mounting.used(call, request, config))
    check_unzipped(config)
    if config.managed is not None:
        managed.check_function(config, config.managed)
    await _check_grants(call, config, old)
    return await sealing.seal(call, config, old, name, given="Environment" in request)


async def _check_grants(call: Call, config: Configuration, old: Configuration) -> None:
    """What is asked of the role anew, or of a new role. Raises ApiError."""
    changed = config.role != old.role
    if config.network is not None and (changed or config.network != old.network):
        await grants.check(call, config.role, _IN_VPC, "*")
    if config.dead_letter and (changed or config.dead_letter != old.dead_letter):
        check_dead_letter(config.dead_letter)
        action = grants.TO_SEND[Arn.parse(config.dead_letter).service]
        await grants.check(call, config.role, [action], config.dead_letter)


def plain(request: Mapping[str, Any], old: Configuration, name: str) -> Configuration:
    """All that needs nobody else."""
    changes: dict[str, Any] = {
        field: request[member]
        for member, field in (
            ("Role", "role"),
            ("Handler", "handler"),
            ("Runtime", "runtime"),
            ("Description", "description"),
            ("Timeout", "timeout"),
            ("MemorySize", "memory"),
            ("KMSKeyArn", "key"),
        )
        if member in request
    }
    if "EphemeralStorage" in request:
        changes["temporary"] = request["EphemeralStorage"]["Size"]
    if "Environment" in request:
        changes["environment"] = dict(request["Environment"].get("Variables") or {})
    if (request.get("DeadLetterConfig") or {}).get("TargetArn") is not None:  # none is named by an empty one, not by {}
        changes["dead_letter"] = request["DeadLetterConfig"]["TargetArn"]
    if "TracingConfig" in request:
        changes["tracing"] = request["TracingConfig"].get("Mode") or old.tracing
    if "SnapStart" in request:
        changes["snap_start"] = request["SnapStart"].get("ApplyOn") == "PublishedVersions"
    if "ImageConfig" in request:
        changes["image"] = _image(request["ImageConfig"])
    if "LoggingConfig" in request:
        changes["logs"] = logs(request["LoggingConfig"], old.logs, name)
    if "DurableConfig" in request:
        changes["durable"] = _durable(request["DurableConfig"], old)
    changes["named"] = tuple(m for m in _SHOWN_EMPTY if m in old.named or request.get(m))
    return replace(old, **changes)


def _image(given: Mapping[str, Any]) -> ImageOverrides | None:
    made = ImageOverrides(
        tuple(given["EntryPoint"]) if given.get("EntryPoint") else None,
        tuple(given["Command"]) if given.get("Command") else None,
        given.get("WorkingDirectory") or "",
    )
    return None if made == ImageOverrides() else made


def _durable(given: Mapping[str, Any], old: Configuration) -> Durable | None:
    """A function is durable from the start or never (``old.role`` is "" while it is made). Raises ApiError."""
    if given.get("KMSKeyArn"):
        raise absent("DurableConfig with KMSKeyArn")
    if not given:
        return old.durable
    if old.durable is None and old.role:
        raise invalid("Durable execution can only be enabled when a function is created.")
    before = old.durable or Durable(_YEAR)
    return Durable(
        given.get("ExecutionTimeout") or before.timeout, given.get("RetentionPeriodInDays") or before.retention
    )


def logs(given: Mapping[str, Any], old: FunctionLogs, name: str) -> FunctionLogs:
    """Levels belong to the format JSON alone. Raises ApiError."""
    form = given.get("LogFormat") or old.format
    levels = [member for member in ("ApplicationLogLevel", "SystemLogLevel") if given.get(member)]
    if form == "Text" and levels:
        raise invalid(
            f"{levels[0]} is only supported with JSON logs. Please use LogFormat JSON to set the {levels[0]}."
        )
    before = old if old.format == form else FunctionLogs(old.group)
    return FunctionLogs(
        given.get("LogGroup") or old.group or default_group(name),
        form,
        given.get("ApplicationLogLevel") or before.application_level,
        given.get("SystemLogLevel") or before.system_level,
    )


def default_group(name: str) -> str:
    return f"/aws/lambda/{name}"


def check(config: Configuration) -> None:
    """What must hold of the whole, whichever member changed. Raises ApiError."""
    values.check_sizes(config.timeout, 0 if config.managed else config.memory, config.temporary)
    values.check_environment(config.environment)
    if config.package == "Zip":
        _check_zip(config)
    elif config.runtime or config.handler:
        raise invalid(
            "Please don't provide Handler or Runtime or Layer when the intent is to create a function with packageType "
            "Image."
        )
    if config.snap_start and config.package == "Image":
        raise invalid("SnapStart is not supported for functions created with container images.")
    if config.snap_start:
        tenants.refuse(config, "SnapStart")
        runtimes.check_snap_start(config.runtime, config.temporary)
    if config.code.kind == "directory" and config.snap_start:
        raise invalid("SnapStart is not supported for code from a directory.")


def _check_zip(config: Configuration) -> None:
    if not config.runtime or (not config.handler and not config.runtime.startswith("provided")):
        raise invalid("Runtime and Handler are mandatory parameters for functions created with deployment packages.")
    if config.image is not None:
        raise invalid("Please don't provide ImageConfig when the packageType is Zip.")
    runtimes.check(config.runtime)


def check_unzipped(config: Configuration) -> None:
    """Code and layers together. Raises ApiError."""
    size = config.unzipped + sum(layer.unzipped for layer in config.layers)
    if size > archives.UNZIPPED:
        raise invalid(
            f"Function code combined with layers exceeds the maximum allowed size of {archives.UNZIPPED} bytes. "
            f"The actual size is {size} bytes."
        )


def check_dead_letter(target: str) -> None:
    """Raises ApiError for what is neither a standard queue nor a standard topic."""
    if target and (Arn.parse(target).service not in ("sqs", "sns") or target.endswith(".fifo")):
        raise invalid(
            f"The target arn: {target} is not supported for a dead-letter queue: it must be a standard queue or topic."
        )


def check_architecture(wanted: Sequence[str], able: Sequence[str]) -> str:
    """Raises ApiError for an architecture that no machine here runs."""
    architecture = wanted[0]
    if architecture not in able:
        raise absent(f"the architecture {architecture}: the machines of this installation run {', '.join(able)}")
    return architecture


def of_package(config: Configuration, code: Package) -> Configuration:
    """``config`` with other code."""
    return replace(config, code=code.code, unzipped=code.unzipped, image_uri=code.image_uri, code_key=code.key)
