"""Access points: a directory of a file system as its root, and who acts there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from havre.control.operation import Answer, Call, Operations, Request
from havre.kernel.resource import NoStatus, scoped
from havre.services.efs import errors, labels, paging, present, queries
from havre.services.efs.operations.file_systems import new_id
from havre.services.efs.resources import ACCESS_POINT, AccessPoint, AccessPointR, Directory
from havre.store.ports import Transaction

ops = Operations()
_FULL = 10_000


@ops("CreateAccessPoint", resources=queries.about("FileSystemId"))
async def create_access_point(call: Call, request: Request) -> Answer:
    spec = _spec(request)
    id = new_id(call, "fsap")

    def change(tx: Transaction) -> AccessPointR:
        found = queries.available(call, tx, request["FileSystemId"])
        token = request["ClientToken"]
        known = tx.first(ACCESS_POINT, "token", scoped(call.account, call.region, token))
        if known is not None and known.spec == spec:
            return known
        if known is not None:
            raise errors.error(
                "AccessPointAlreadyExists",
                f"Access point already exists with client token '{token}'",
                AccessPointId=known.meta.name,
            )
        if len(queries.access_points(tx, found)) >= _FULL:
            raise errors.error("AccessPointLimitExceeded", f"A file system can have {_FULL} access points.")
        where = {"account": call.account, "region": call.region, "name": id, "arn": queries.arn(call, id)}
        return tx.create(ACCESS_POINT, **where, spec=spec, status=NoStatus())

    return present.access_point(await call.store.transact(change))


def _spec(request: Request) -> AccessPoint:
    user, root = request.get("PosixUser"), request.get("RootDirectory") or {}
    return AccessPoint(
        queries.bare(request["FileSystemId"]),
        request["ClientToken"],
        labels.merged({}, request.get("Tags") or ()),
        None if user is None else (user["Uid"], user["Gid"]),
        None if user is None or user.get("SecondaryGids") is None else tuple(user["SecondaryGids"]),
        _directory(root),
    )


def _directory(given: Any) -> Directory:
    """Raises ApiError for a path that leads elsewhere."""
    path = given.get("Path") or "/"
    parts = [part for part in path.split("/") if part]
    if ".." in parts or "." in parts or "\0" in path:
        raise errors.bad(f"Invalid path: {path}")
    made = given.get("CreationInfo")
    if made is None:
        return Directory("/" + "/".join(parts))
    return Directory("/" + "/".join(parts), (made["OwnerUid"], made["OwnerGid"]), made["Permissions"])


def _described(call: Call, request: Request) -> Sequence[str]:
    member = "AccessPointId" if request.get("AccessPointId") else "FileSystemId"
    return queries.about(member)(call, request)


@ops("DescribeAccessPoints", resources=_described)
async def describe_access_points(call: Call, request: Request) -> Answer:
    found: Sequence[AccessPointR]
    if request.get("AccessPointId") and request.get("FileSystemId"):
        raise errors.bad("Only one of AccessPointId and FileSystemId can be given.")
    if request.get("AccessPointId"):
        found = [queries.access_point(call, call.store, request["AccessPointId"])]
    elif request.get("FileSystemId"):
        of = queries.file_system(call, call.store, request["FileSystemId"])
        found = queries.access_points(call.store, of)
    else:
        found = call.store.list(ACCESS_POINT, call.account, call.region)
    shown, following = paging.page(call, request, found, lambda r: r.meta.name)
    return {"AccessPoints": [present.access_point(r) for r in shown], "NextToken": following}


@ops("DeleteAccessPoint", resources=queries.about("AccessPointId"))
async def delete_access_point(call: Call, request: Request) -> Answer:
    """What has mounted by it keeps what it has."""
    await call.store.transact(lambda tx: tx.remove(queries.access_point(call, tx, request["AccessPointId"])))
    return {}
