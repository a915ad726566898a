"""File systems: made, shown, changed, deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.kernel.resource import scoped
from havre.services.efs import errors, labels, paging, present, queries
from havre.services.efs.resources import FILE_SYSTEM, FileSystem, FileSystemR, FileSystemStatus
from havre.store.ports import Transaction

ops = Operations()
_FULL = 1000


def new_id(call: Call, kind: str) -> str:
    return f"{kind}-{call.world.hex(17)}"


def _new(call: Call, request: Request) -> Mapping[str, str | Sequence[str]]:
    return {"elasticfilesystem:Encrypted": "true" if request.get("Encrypted") else "false"}


@ops("CreateFileSystem", conditions=_new)
async def create_file_system(call: Call, request: Request) -> Answer:
    """Once for a creation token: again, it is an error that names what there is."""
    spec = _spec(request)
    if spec.tags:
        await call.authorize("elasticfilesystem:TagResource", [queries.arn(call, "*")], {})
    id = new_id(call, "fs")

    def change(tx: Transaction) -> Answer:
        token = request["CreationToken"]
        known = tx.first(FILE_SYSTEM, "token", scoped(call.account, call.region, token))
        if known is not None:
            raise errors.error(
                "FileSystemAlreadyExists",
                f"File system '{known.meta.name}' already exists with creation token '{token}'",
                FileSystemId=known.meta.name,
            )
        if len(tx.list(FILE_SYSTEM, call.account, call.region)) >= _FULL:
            raise errors.error("FileSystemLimitExceeded", f"An account can have {_FULL} file systems.")
        where = {"account": call.account, "region": call.region, "name": id, "arn": queries.arn(call, id)}
        return present.file_system(tx, tx.create(FILE_SYSTEM, **where, spec=spec, status=FileSystemStatus()))

    return await call.store.transact(change)


def _spec(request: Request) -> FileSystem:
    """Raises ApiError for what Havre does not do, or AWS does not take."""
    for member in ("KmsKeyId", "AvailabilityZoneName", "Backup"):
        if request.get(member):
            raise errors.absent(f"CreateFileSystem with {member}")
    performance = request.get("PerformanceMode") or "generalPurpose"
    throughput, provisioned = _throughput(request, "bursting", None)
    if performance == "maxIO" and throughput == "elastic":
        raise errors.bad("The performance mode maxIO is not supported with the throughput mode elastic.")
    return FileSystem(
        request["CreationToken"],
        labels.merged({}, request.get("Tags") or ()),
        performance,
        throughput,
        provisioned,
        bool(request.get("Encrypted")),
    )


def _throughput(request: Request, mode: str, provisioned: float | None) -> tuple[str, float | None]:
    mode = request.get("ThroughputMode") or mode
    given: float | None = request.get("ProvisionedThroughputInMibps")
    if mode != "provisioned":
        if given is not None:
            raise errors.bad("ProvisionedThroughputInMibps is given with the throughput mode provisioned alone.")
        return mode, None
    if given is None and provisioned is None:
        raise errors.bad("ProvisionedThroughputInMibps is required with the throughput mode provisioned.")
    return mode, given if given is not None else provisioned


@ops("DescribeFileSystems", resources=queries.about("FileSystemId"))
async def describe_file_systems(call: Call, request: Request) -> Answer:
    found: Sequence[FileSystemR]
    if request.get("FileSystemId"):
        found = [queries.file_system(call, call.store, request["FileSystemId"])]
    elif request.get("CreationToken"):
        found = call.store.find(FILE_SYSTEM, "token", scoped(call.account, call.region, request["CreationToken"]))
    else:
        found = call.store.list(FILE_SYSTEM, call.account, call.region)
    shown, following = paging.page(call, request, found, lambda r: r.meta.name)
    return {
        "FileSystems": [present.file_system(call.store, r) for r in shown],
        "Marker": request.get("Marker"),
        "NextMarker": following,
    }


@ops("UpdateFileSystem", resources=queries.about("FileSystemId"))
async def update_file_system(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> dict[str, Any]:
        found = queries.available(call, tx, request["FileSystemId"])
        mode, provisioned = _throughput(request, found.spec.throughput, found.spec.provisioned)
        spec = replace(found.spec, throughput=mode, provisioned=provisioned)
        return present.file_system(tx, tx.update(found, spec=spec))

    return await call.store.transact(change)


@ops("DeleteFileSystem", resources=queries.about("FileSystemId"))
async def delete_file_system(call: Call, request: Request) -> Answer:
    """Mount targets have to go first; access points go with it."""

    def change(tx: Transaction) -> None:
        found = queries.file_system(call, tx, request["FileSystemId"])
        if queries.targets(tx, found):
            raise errors.error("FileSystemInUse", f"File system '{found.meta.name}' has mount targets: it is in use.")
        if found.meta.deleting is None:
            for point in queries.access_points(tx, found):
                tx.remove(point)
            tx.update(found, deleting=call.now)

    await call.store.transact(change)
    return {}
