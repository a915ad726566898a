"""From records to AWS's shapes of functions, versions and aliases."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from havre.kernel.function import Code, FunctionNetwork
from havre.services.lambda_.capacity import ManagedUse
from havre.services.lambda_.queries import function_arn
from havre.services.lambda_.resources import LATEST, PUBLISHED, AliasR, Configuration, FunctionR, Readiness, VersionR
from havre.services.lambda_.times import spelled

_BEING_CREATED = "The function is being created."


def code_sha256(code: Code) -> str:
    """Of an archive base64, of an image the hexadecimal digest of its manifest, as AWS tells them; of a directory that of
    its path, for its content changes by itself."""
    if code.kind == "zip":
        return base64.b64encode(bytes.fromhex(code.digest)).decode()
    if code.kind == "image":
        return code.digest.removeprefix("sha256:")
    return base64.b64encode(hashlib.sha256(code.path.encode()).digest()).decode()


def revision(record: FunctionR | VersionR) -> str:
    """The RevisionId: another one whenever the record's spec changes, and when it becomes ready."""
    status = record.status
    text = f"{record.spec.revision} {status.state} {status.update} {in_progress(record)}"
    h = hashlib.sha256(text.encode()).hexdigest()
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:32]}"


def updating(record: FunctionR | VersionR) -> bool:
    """Whether what was asked for has not been prepared yet."""
    return record.status.generation != record.spec.generation


def in_progress(record: FunctionR | VersionR) -> bool:
    """As AWS tells it: a version that was ready when it was published waits for nothing."""
    changeable = record.spec.number in (LATEST, PUBLISHED)
    return updating(record) and (changeable or record.status.serving is None)


def configuration(record: FunctionR | VersionR, *, qualifier: str = "", listed: bool = False) -> dict[str, Any]:
    """FunctionConfiguration. ``qualifier`` is what the ARN shows behind the name: the version, or the alias that was asked
    for. ``listed`` leaves out what lists do not tell."""
    spec, m, config = record.spec, record.meta, record.spec.config
    shown: dict[str, Any] = {
        "FunctionName": spec.function,
        "FunctionArn": function_arn(m.account, m.region, spec.function, qualifier),
        "Role": config.role,
        "CodeSize": config.code.size,
        "Description": config.description,
        "Timeout": config.timeout,
        "MemorySize": config.memory,
        "LastModified": spelled(spec.modified),
        "CodeSha256": code_sha256(config.code),
        "Version": spec.number,
        "TracingConfig": {"Mode": config.tracing},
        "RevisionId": revision(record),
        "PackageType": config.package,
        "Architectures": [config.architecture],
        "EphemeralStorage": {"Size": config.temporary},
        "SnapStart": None if config.managed is not None else _snap_start(record),
        "LoggingConfig": _logging(config),
        **_where_given(config),
        **({} if listed else _state(record)),
    }
    return shown


def _where_given(config: Configuration) -> Mapping[str, Any]:
    shown: dict[str, Any] = {}
    if config.package == "Zip":
        shown |= {"Runtime": config.runtime, "Handler": config.handler or None}
    if not config.sealed and (config.environment or "Environment" in config.named):
        shown["Environment"] = {"Variables": dict(config.environment)}
    if config.file_systems:
        uses = config.file_systems
        shown["FileSystemConfigs"] = [{"Arn": use.access_point, "LocalMountPath": use.path} for use in uses]
    if config.key:
        shown["KMSKeyArn"] = config.key
    if config.layers:
        shown["Layers"] = [{"Arn": layer.arn, "CodeSize": layer.code.size} for layer in config.layers]
    if config.network is not None or "VpcConfig" in config.named:
        net = config.network or FunctionNetwork("", ())
        shown["VpcConfig"] = {
            "SubnetIds": list(net.subnets),
            "SecurityGroupIds": list(net.security_groups),
            "VpcId": net.vpc,
            "Ipv6AllowedForDualStack": False,
        }
    if config.dead_letter:
        shown["DeadLetterConfig"] = {"TargetArn": config.dead_letter}
    if config.image is not None:
        shown["ImageConfigResponse"] = {"ImageConfig": _image(config)}
    if config.managed is not None:
        shown["CapacityProviderConfig"] = _managed(config.managed)
    if config.per_tenant:
        shown["TenancyConfig"] = {"TenantIsolationMode": "PER_TENANT"}
    if config.durable is not None:
        durable = config.durable
        shown["DurableConfig"] = {"RetentionPeriodInDays": durable.retention, "ExecutionTimeout": durable.timeout}
    return shown


def _managed(used: ManagedUse) -> dict[str, Any]:
    return {
        "LambdaManagedInstancesCapacityProviderConfig": {
            "CapacityProviderArn": used.provider,
            "PerExecutionEnvironmentMaxConcurrency": used.concurrency,
            "ExecutionEnvironmentMemoryGiBPerVCpu": used.ratio,
        }
    }


def _image(config: Configuration) -> dict[str, Any]:
    image = config.image
    assert image is not None
    return {
        "EntryPoint": None if image.entry_point is None else list(image.entry_point),
        "Command": None if image.command is None else list(image.command),
        "WorkingDirectory": image.working_directory or None,
    }


def _snap_start(record: FunctionR | VersionR) -> dict[str, str]:
    on = record.spec.config.snap_start
    taken = on and record.spec.number != LATEST and record.status.serving is not None
    return {"ApplyOn": "PublishedVersions" if on else "None", "OptimizationStatus": "On" if taken else "Off"}


def _logging(config: Configuration) -> dict[str, str]:
    logs = config.logs
    levels = {"ApplicationLogLevel": logs.application_level, "SystemLogLevel": logs.system_level}
    return {"LogFormat": logs.format, "LogGroup": logs.group, **(levels if logs.format == "JSON" else {})}


def _state(record: FunctionR | VersionR) -> dict[str, str | None]:
    status: Readiness = record.status
    shown: dict[str, str | None] = {
        "State": status.state,
        "StateReason": status.reason or None,
        "StateReasonCode": status.reason_code or None,
    }
    if not in_progress(record):
        return shown | {
            "LastUpdateStatus": status.update,
            "LastUpdateStatusReason": status.update_reason or None,
            "LastUpdateStatusReasonCode": status.update_code or None,
        }
    if not status.generation:
        return shown  # while it is created there is no update
    return shown | {
        "LastUpdateStatus": "InProgress",
        "LastUpdateStatusReason": _BEING_CREATED,
        "LastUpdateStatusReasonCode": "Creating",
    }


def alias(found: AliasR) -> dict[str, Any]:
    spec = found.spec
    return {
        "AliasArn": found.meta.arn,
        "Name": spec.alias,
        "FunctionVersion": spec.version,
        "Description": spec.description,
        "RoutingConfig": {"AdditionalVersionWeights": dict(spec.weights)} if spec.weights else None,
        "RevisionId": spec.revision,
    }
