"""Whose a bucket is, and its policy: what IAM's decision needs at hand."""

from __future__ import annotations

from msgspec.structs import replace

from havre.control.borrowed import Lender
from havre.control.operation import Answer, Call, Request
from havre.kernel.errors import ApiError
from havre.kernel.resource import NoStatus, Resource
from havre.services.s3.resources import BUCKET, USUAL, Bucket
from havre.store.ports import Reader, Store, Transaction


def _find(reader: Reader, bucket: str) -> Resource[Bucket, NoStatus] | None:
    return reader.get(BUCKET, "", "", bucket)


def _bucket_of(arn: str) -> str:
    return arn.rpartition(":::")[2].partition("/")[0]


def resource_policy(store: Store, arn: str) -> str | None:
    found = _find(store, _bucket_of(arn))
    return found.spec.policy or None if found is not None else None


def resource_owner(store: Store, arn: str) -> str:
    """S3's ARNs do not tell the account. "" for a bucket that is not there."""
    found = _find(store, _bucket_of(arn))
    return found.spec.owner if found is not None else ""


async def who_pays(lender: Lender, call: Call, request: Request) -> Answer:
    """Nobody pays, and so the owner does: what clients ask of each bucket before they go on."""
    if _find(call.store, request["Bucket"]) is None:
        raise ApiError("NoSuchBucket", "The specified bucket does not exist", 404)
    return {"Payer": "BucketOwner"}


async def claim(call: Call, request: Request) -> None:
    """The bucket is about to be created: whose it is, is on disk before it is there. A record without a bucket does no
    harm, for a bucket without a record would be anybody's."""
    name = request["Bucket"]

    def change(tx: Transaction) -> None:
        if _find(tx, name) is None:
            arn, spec = f"arn:aws:s3:::{name}", Bucket(call.account, encryption=USUAL)
            tx.create(BUCKET, account="", region="", name=name, arn=arn, spec=spec, status=NoStatus())

    await call.store.transact(change)


async def own(call: Call, request: Request) -> None:
    """The bucket has been created, under a name that another account may have claimed in vain."""

    def change(tx: Transaction) -> None:
        found = _find(tx, request["Bucket"])
        if found is not None and found.spec.owner != call.account:
            tx.update(found, spec=Bucket(call.account, encryption=USUAL))

    await call.store.transact(change)


async def disown(call: Call, request: Request) -> None:
    """The bucket has been deleted."""

    def change(tx: Transaction) -> None:
        if found := _find(tx, request["Bucket"]):
            tx.remove(found)

    await call.store.transact(change)


async def keep(call: Call, request: Request) -> None:
    """The bucket has a new policy."""
    await _set(call, request["Bucket"], request["Policy"])


async def forget(call: Call, request: Request) -> None:
    """The bucket has no policy any more."""
    await _set(call, request["Bucket"], "")


async def _set(call: Call, name: str, policy: str) -> None:
    def change(tx: Transaction) -> None:
        if found := _find(tx, name):
            tx.update(found, spec=replace(found.spec, policy=policy))

    await call.store.transact(change)
