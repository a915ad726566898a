"""Trust stores and their lists of revocations."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Request
from havre.kernel.errors import ApiError
from havre.kernel.resource import NoStatus
from havre.services.elbv2 import names, tags, trust
from havre.services.elbv2 import resources as r
from havre.services.elbv2.declare import ElbOperations, arns
from havre.services.elbv2.errors import limit, validation
from havre.services.elbv2.paging import page
from havre.store.ports import Transaction

ops = ElbOperations()
MOST, MOST_REVOCATIONS = 20, 30
_BUNDLE = "CaCertificatesBundleS3Bucket CaCertificatesBundleS3Key CaCertificatesBundleS3ObjectVersion"


def _shown(store: r.TrustStoreR) -> dict[str, Any]:
    return {
        "Name": store.spec.name,
        "TrustStoreArn": store.meta.arn,
        "Status": "ACTIVE",
        "NumberOfCaCertificates": store.spec.count,
        "TotalRevokedEntries": sum(each.entries for each in store.spec.revocations),
    }


def _shown_revocation(store: r.TrustStoreR, each: r.Revocation) -> dict[str, Any]:
    told = {"TrustStoreArn": store.meta.arn, "RevocationId": each.id, "RevocationType": "CRL"}
    return {**told, "NumberOfRevokedEntries": each.entries}


@ops.on("CreateTrustStore", f"Name Tags {_BUNDLE}", resources=arns(creates="truststore/{Name}/*"))
async def create_trust_store(call: Call, request: Request) -> Answer:
    name = request["Name"]
    names.check(name, "Trust store")
    given = await tags.of_creation(call, request, call.arn(f"truststore/{name}/*", "elasticloadbalancing"))
    authorities, count = await trust.bundle(call, request, "CaCertificatesBundle")
    id = call.world.hex(16)

    def change(tx: Transaction) -> r.TrustStoreR:
        if trust.named(call, tx, name):
            raise ApiError("DuplicateTrustStoreName", f"A trust store with the name '{name}' already exists")
        if len(tx.list(r.TRUST_STORE, call.account, call.region)) >= MOST:
            raise limit("TooManyTrustStores", "trust stores")
        arn = call.arn(f"truststore/{name}/{id}", "elasticloadbalancing")
        where = {"account": call.account, "region": call.region, "name": f"{name}/{id}", "arn": arn}
        spec = r.TrustStoreSpec(name, authorities, count, tags=given)
        return tx.create(r.TRUST_STORE, **where, spec=spec, status=NoStatus())

    return {"TrustStores": [_shown(await call.store.transact(change))]}


@ops.on("DescribeTrustStores", "TrustStoreArns Names Marker PageSize")
async def describe_trust_stores(call: Call, request: Request) -> Answer:
    wanted, called = request.get("TrustStoreArns") or (), request.get("Names") or ()
    if wanted and called:
        raise validation("Trust store names and trust store ARNs cannot be specified at the same time")
    found: Sequence[r.TrustStoreR] = [trust.trust_store(call, call.store, arn) for arn in wanted]
    if called:
        found = [each for name in called for each in trust.named(call, call.store, name)]
        if len(found) < len(set(called)):
            raise ApiError("TrustStoreNotFound", f"Trust stores '[{', '.join(called)}]' not found")
    elif not wanted:
        found = call.store.list(r.TRUST_STORE, call.account, call.region)
    shown, marker = page(call, request, found, lambda each: each.meta.name)
    return {"TrustStores": [_shown(each) for each in shown], "NextMarker": marker}


@ops.on("ModifyTrustStore", f"TrustStoreArn {_BUNDLE}", resources=arns("TrustStoreArn"))
async def modify_trust_store(call: Call, request: Request) -> Answer:
    trust.trust_store(call, call.store, request["TrustStoreArn"])
    authorities, count = await trust.bundle(call, request, "CaCertificatesBundle")

    def change(tx: Transaction) -> r.TrustStoreR:
        store = trust.trust_store(call, tx, request["TrustStoreArn"])
        return tx.update(store, spec=replace(store.spec, authorities=authorities, count=count))

    return {"TrustStores": [_shown(await call.store.transact(change))]}


@ops.on("DeleteTrustStore", "TrustStoreArn", resources=arns("TrustStoreArn"))
async def delete_trust_store(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        store = trust.trust_store(call, tx, request["TrustStoreArn"])
        if trust.used_by(tx, store):
            raise ApiError("TrustStoreInUse", f"Trust store '{store.meta.arn}' is currently in use by a listener")
        tx.remove(store)

    await call.store.transact(change)
    return {}


@ops.on("DescribeTrustStoreAssociations", "TrustStoreArn Marker PageSize", resources=arns("TrustStoreArn"))
async def describe_trust_store_associations(call: Call, request: Request) -> Answer:
    store = trust.trust_store(call, call.store, request["TrustStoreArn"])
    found = sorted(each.meta.arn for each in trust.used_by(call.store, store))
    shown, marker = page(call, request, found, lambda arn: arn)
    return {"TrustStoreAssociations": [{"ResourceArn": arn} for arn in shown], "NextMarker": marker}


@ops.on("AddTrustStoreRevocations", "TrustStoreArn RevocationContents", resources=arns("TrustStoreArn"))
async def add_trust_store_revocations(call: Call, request: Request) -> Answer:
    trust.trust_store(call, call.store, request["TrustStoreArn"])
    contents = request.get("RevocationContents") or ()
    if not contents:
        raise validation("At least one revocation file must be specified")
    read = await asyncio.gather(*(trust.revocation(call, each) for each in contents))

    def change(tx: Transaction) -> Sequence[dict[str, Any]]:
        store = trust.trust_store(call, tx, request["TrustStoreArn"])
        first = store.spec.last + 1
        added = [r.Revocation(first + i, text, entries) for i, (text, entries) in enumerate(read)]
        lists = (*store.spec.revocations, *added)
        if len(lists) > MOST_REVOCATIONS:
            raise limit("TooManyTrustStoreRevocationEntries", "revocation files", store.meta.arn)
        store = tx.update(store, spec=replace(store.spec, revocations=lists, last=added[-1].id))
        return [_shown_revocation(store, each) for each in added]

    return {"TrustStoreRevocations": await call.store.transact(change)}


@ops.on("DescribeTrustStoreRevocations", "TrustStoreArn RevocationIds Marker PageSize", resources=arns("TrustStoreArn"))
async def describe_trust_store_revocations(call: Call, request: Request) -> Answer:
    store = trust.trust_store(call, call.store, request["TrustStoreArn"])
    wanted = request.get("RevocationIds") or ()
    _check_ids(store, wanted)
    found = [each for each in store.spec.revocations if not wanted or each.id in wanted]
    shown, marker = page(call, request, found, lambda each: f"{each.id:020d}")
    return {"TrustStoreRevocations": [_shown_revocation(store, each) for each in shown], "NextMarker": marker}


@ops.on("RemoveTrustStoreRevocations", "TrustStoreArn RevocationIds", resources=arns("TrustStoreArn"))
async def remove_trust_store_revocations(call: Call, request: Request) -> Answer:
    gone = set(request["RevocationIds"])

    def change(tx: Transaction) -> None:
        store = trust.trust_store(call, tx, request["TrustStoreArn"])
        _check_ids(store, sorted(gone))
        left = tuple(each for each in store.spec.revocations if each.id not in gone)
        tx.update(store, spec=replace(store.spec, revocations=left))

    await call.store.transact(change)
    return {}


def _check_ids(store: r.TrustStoreR, wanted: Sequence[int]) -> None:
    unknown = set(wanted) - {each.id for each in store.spec.revocations}
    if unknown:
        raise ApiError("RevocationIdNotFound", f"Revocation ids {sorted(unknown)} not found in '{store.meta.arn}'")
