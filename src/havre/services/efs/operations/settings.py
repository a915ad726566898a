"""What of a file system is kept and shown: lifecycle rules, protection; and backups, which there are none of."""

from __future__ import annotations

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.services.efs import errors, queries
from havre.store.ports import Transaction

ops = Operations()


@ops("PutLifecycleConfiguration", resources=queries.about("FileSystemId"))
async def put_lifecycle(call: Call, request: Request) -> Answer:
    given = tuple(dict(policy) for policy in request["LifecyclePolicies"])
    names = [name for policy in given for name in policy]
    if any(len(policy) != 1 for policy in given) or len(set(names)) != len(names):
        raise errors.bad("Each LifecyclePolicy has one transition, and each transition is given once.")

    def change(tx: Transaction) -> None:
        found = queries.available(call, tx, request["FileSystemId"])
        tx.update(found, spec=replace(found.spec, lifecycle=given))

    await call.store.transact(change)
    return {"LifecyclePolicies": list(given)}


@ops("DescribeLifecycleConfiguration", resources=queries.about("FileSystemId"))
async def describe_lifecycle(call: Call, request: Request) -> Answer:
    found = queries.file_system(call, call.store, request["FileSystemId"])
    return {"LifecyclePolicies": list(found.spec.lifecycle)}


@ops("PutBackupPolicy", resources=queries.about("FileSystemId"))
async def put_backup_policy(call: Call, request: Request) -> Answer:
    queries.available(call, call.store, request["FileSystemId"])
    if request["BackupPolicy"]["Status"] not in ("DISABLED", "DISABLING"):
        raise errors.absent("PutBackupPolicy: there are no backups")
    return {"BackupPolicy": {"Status": "DISABLED"}}


@ops("DescribeBackupPolicy", resources=queries.about("FileSystemId"))
async def describe_backup_policy(call: Call, request: Request) -> Answer:
    queries.file_system(call, call.store, request["FileSystemId"])
    return {"BackupPolicy": {"Status": "DISABLED"}}


@ops("UpdateFileSystemProtection", resources=queries.about("FileSystemId"))
async def update_protection(call: Call, request: Request) -> Answer:
    wanted = request.get("ReplicationOverwriteProtection") or "ENABLED"
    if wanted == "REPLICATING":
        raise errors.bad("REPLICATING cannot be asked for.")

    def change(tx: Transaction) -> None:
        found = queries.available(call, tx, request["FileSystemId"])
        tx.update(found, spec=replace(found.spec, protection=wanted))

    await call.store.transact(change)
    return {"ReplicationOverwriteProtection": wanted}


@ops("DescribeReplicationConfigurations", resources=queries.about("FileSystemId"))
async def describe_replications(call: Call, request: Request) -> Answer:
    if not request.get("FileSystemId"):
        return {"Replications": []}
    id = queries.file_system(call, call.store, request["FileSystemId"]).meta.name
    raise errors.error("ReplicationNotFound", f"File system '{id}' has no replication configuration.")
