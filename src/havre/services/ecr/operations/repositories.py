"""Repositories, and the settings that each has."""

from __future__ import annotations

from functools import partial

import msgspec

from havre.control.images import REPOSITORY, Place, Repository, RepositorySpec, RepositoryStatus
from havre.control.images.addresses import ensure_address
from havre.control.images.changes import remove_repository
from havre.control.images.changes import repository as find
from havre.control.operation import Answer, Call, Operations, Request
from havre.kernel.errors import ApiError
from havre.services.ecr import present, rules
from havre.services.ecr.common import about, page, place
from havre.services.ecr.errors import modelled
from havre.services.ecr.facilities import Facilities
from havre.store.ports import Transaction


async def _address(call: Call, where: Place) -> str:
    return await ensure_address(call.store, call.site, where.account, where.region)


async def create(call: Call, request: Request) -> Answer:
    where = place(call, request)
    setting, exclusions = rules.mutability(request)
    rules.encryption(request)
    scan = request.get("imageScanningConfiguration", {}).get("scanOnPush", False)
    spec = RepositorySpec(setting, exclusions, scan, rules.tags(request.get("tags", ())))

    def change(transaction: Transaction) -> Repository:
        if transaction.get(REPOSITORY, *where) is not None:
            raise ApiError(
                "RepositoryAlreadyExistsException",
                f"The repository with name '{where.repository}' already exists in the registry with id '{where.account}'",
            )
        return transaction.create(
            REPOSITORY,
            account=where.account,
            region=where.region,
            name=where.repository,
            arn=where.arn,
            spec=spec,
            status=RepositoryStatus(),
        )

    address = await _address(call, where)
    return {"repository": present.repository(await call.store.transact(change), call.site, address)}


async def delete(call: Call, request: Request) -> Answer:
    where = place(call, request)
    force = request.get("force", False)
    with modelled():
        gone = await call.store.transact(lambda change: remove_repository(change, where, force))
    shown = present.repository(gone, call.site, await _address(call, where))
    del shown["imageScanningConfiguration"], shown["encryptionConfiguration"]
    return {"repository": shown}


async def put_tag_mutability(call: Call, request: Request) -> Answer:
    where = place(call, request)
    setting, exclusions = rules.mutability(request)
    changed = await update(call, where, mutability=setting, exclusions=exclusions)
    return {**present.named(where), **present.mutability(changed)}


async def put_scanning(call: Call, request: Request) -> Answer:
    where = place(call, request)
    scan = request["imageScanningConfiguration"].get("scanOnPush", False)
    await update(call, where, scan_on_push=scan)
    return {**present.named(where), "imageScanningConfiguration": {"scanOnPush": scan}}


async def batch_get_scanning(call: Call, request: Request) -> Answer:
    found, failures = [], []
    for name in request["repositoryNames"]:
        each = call.store.get(REPOSITORY, call.account, call.region, name)
        if each is None:
            reason = f"The repository with name '{name}' does not exist in the registry with id '{call.account}'"
            failures.append({"repositoryName": name, "failureCode": "REPOSITORY_NOT_FOUND", "failureReason": reason})
            continue
        found.append(
            {
                "repositoryArn": each.meta.arn,
                "repositoryName": name,
                "scanOnPush": each.spec.scan_on_push,
                "scanFrequency": "SCAN_ON_PUSH" if each.spec.scan_on_push else "MANUAL",
                "appliedScanFilters": [],
            }
        )
    return {"scanningConfigurations": found, "failures": failures}


async def update(call: Call, where: Place, **fields: object) -> Repository:
    """Change fields of the repository's spec. Raises ApiError when there is no such repository."""

    def change(transaction: Transaction) -> Repository:
        found = find(transaction, where)
        return transaction.update(found, spec=msgspec.structs.replace(found.spec, **fields))

    with modelled():
        return await call.store.transact(change)


async def describe(given: Facilities, call: Call, request: Request) -> Answer:
    where = place(call, request, "*")
    address = await _address(call, where)
    token = None
    if "repositoryNames" in request:
        with modelled():
            found = [find(call.store, where._replace(repository=n)) for n in request["repositoryNames"]]
    else:
        every = call.store.list(REPOSITORY, where.account, where.region)
        found, token = page(call, request, every, lambda r: r.meta.name)
    return {"repositories": [present.repository(r, call.site, address) for r in found], "nextToken": token}


def operations(given: Facilities) -> Operations:
    ops = Operations()
    about(ops, "CreateRepository")(create)
    about(ops, "DeleteRepository")(delete)
    about(ops, "PutImageTagMutability")(put_tag_mutability)
    about(ops, "PutImageScanningConfiguration")(put_scanning)
    about(ops, "BatchGetRepositoryScanningConfiguration")(batch_get_scanning)
    about(ops, "DescribeRepositories")(partial(describe, given))
    return ops
