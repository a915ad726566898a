"""Changes of ``$LATEST``: they take effect when the function is prepared anew, and one goes on at a time."""

from __future__ import annotations

from functools import partial

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Request
from havre.services.lambda_ import package, present, queries, sealed_code, sealing, signing
from havre.services.lambda_.capacity_queries import usable
from havre.services.lambda_.conditions import settings
from havre.services.lambda_.configuring import MEMBERS, check_architecture, check_unzipped, configured, of_package
from havre.services.lambda_.declare import LambdaOperations
from havre.services.lambda_.errors import busy_updating, stale
from havre.services.lambda_.facilities import Facilities
from havre.services.lambda_.limits import check_code
from havre.services.lambda_.publishing import check_ready
from havre.services.lambda_.republishing import publish_to
from havre.services.lambda_.resources import Configuration, FunctionR, VersionR
from havre.store.ports import Transaction

_CODE = "ZipFile S3Bucket S3Key S3ObjectVersion S3ObjectStorageMode SourceKMSKeyArn ImageUri"


def operations(facilities: Facilities) -> LambdaOperations:
    ops = LambdaOperations()
    code = f"FunctionName {_CODE} Architectures Publish PublishTo DryRun RevisionId"
    ops.on("UpdateFunctionCode", code)(partial(update_function_code, facilities))
    update = ops.on(
        "UpdateFunctionConfiguration",
        f"FunctionName RevisionId {MEMBERS}",
        conditions=lambda call, request: settings(request),
        in_vpc=True,
    )
    update(update_function_configuration)
    return ops


def _current(call: Call, request: Request) -> FunctionR:
    """Raises ApiError while another change is in progress, or when the caller has seen an older one."""
    found = queries.whole(call.store, call.account, call.region, request["FunctionName"])
    check_revision(found, request)
    check_ready(found)
    return found


def check_revision(found: FunctionR | VersionR, request: Request) -> None:
    if request.get("RevisionId") and request["RevisionId"] != present.revision(found):
        raise stale()


async def update_function_code(facilities: Facilities, call: Call, request: Request) -> Answer:
    found = _current(call, request)
    old = found.spec.config
    architecture = old.architecture
    if request.get("Architectures"):
        architecture = check_architecture(request["Architectures"], facilities.architectures)
    given = {member: request[member] for member in _CODE.split() if member in request}
    new = await package.fetch(call, given, old.package, "updating")
    new = await sealed_code.seal(call, new, request.get("SourceKMSKeyArn") or "", found.spec.function)
    config = of_package(replace(old, architecture=architecture), new)
    check_unzipped(config)
    signing.check_code(call.store, found.spec.code_signing, found.spec.function)
    if request.get("DryRun"):
        return await sealing.shown(call, changed(call, found, config))
    await package.keep(facilities, new)
    version_revision = call.world.uuid()

    def change(tx: Transaction) -> tuple[FunctionR | VersionR, str]:
        fresh = _as_seen(tx, found)
        check_code(tx, found.meta.account, found.meta.region, config.code.size)
        made = tx.update(fresh, spec=changed(call, fresh, config).spec)
        usable(tx, config)
        published = publish_to(tx, made, version_revision, request)
        return published, published.spec.number if published is not made else ""

    record, qualifier = await call.store.transact(change)
    return await sealing.shown(call, record, qualifier=qualifier)


async def update_function_configuration(call: Call, request: Request) -> Answer:
    found = _current(call, request)
    config = await configured(call, request, found.spec.config, found.spec.function)

    def change(tx: Transaction) -> FunctionR:
        fresh = _as_seen(tx, found)
        usable(tx, config)
        return tx.update(fresh, spec=changed(call, fresh, config).spec)

    return await sealing.shown(call, await call.store.transact(change))


def _as_seen(tx: Transaction, seen: FunctionR) -> FunctionR:
    """The function now, if its configuration is still the one that was looked at. Raises ApiError."""
    m = seen.meta
    fresh = queries.function(tx, m.account, m.region, m.name)
    if (fresh.spec.uid, fresh.spec.generation) != (seen.spec.uid, seen.spec.generation):
        raise busy_updating(m.arn)
    return fresh


def changed(call: Call, found: FunctionR, config: Configuration) -> FunctionR:
    """The function with another configuration, which is to be prepared."""
    spec = replace(
        found.spec,
        config=config,
        generation=found.spec.generation + 1,
        revision=call.world.uuid(),
        modified=call.now,
    )
    return replace(found, spec=spec)
