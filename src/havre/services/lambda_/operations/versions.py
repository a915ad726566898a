"""Published versions."""

from __future__ import annotations

from havre.control.operation import Answer, Call, Request
from havre.services.lambda_ import present, queries, sealing
from havre.services.lambda_.declare import LambdaOperations
from havre.services.lambda_.errors import invalid
from havre.services.lambda_.operations.updates import check_revision
from havre.services.lambda_.paging import page
from havre.services.lambda_.publishing import check_ready
from havre.services.lambda_.republishing import publish_as
from havre.services.lambda_.resources import FunctionR, VersionR
from havre.store.ports import Transaction

ops = LambdaOperations()


@ops.on("PublishVersion", "FunctionName CodeSha256 Description RevisionId PublishTo")
async def publish_version(call: Call, request: Request) -> Answer:
    revision = call.world.uuid()

    def change(tx: Transaction) -> VersionR:
        found = queries.whole(tx, call.account, call.region, request["FunctionName"])
        check_revision(found, request)
        check_ready(found)
        given, own = request.get("CodeSha256"), present.code_sha256(found.spec.config.code)
        if given and given != own:
            raise invalid(
                f"CodeSHA256 ({given}) is different from current CodeSHA256 in $LATEST ({own}). "
                "Please try again with the CodeSHA256 in $LATEST."
            )
        return publish_as(tx, found, revision, request.get("PublishTo", ""), request.get("Description"))

    version = await call.store.transact(change)
    return await sealing.shown(call, version, qualifier=version.spec.number)


@ops.on("ListVersionsByFunction", "FunctionName Marker MaxItems")
async def list_versions_by_function(call: Call, request: Request) -> Answer:
    found = queries.function(call.store, call.account, call.region, request["FunctionName"])
    every: list[FunctionR | VersionR] = [found, *queries.versions(call.store, found)]
    shown, marker = page(call, request, every, lambda r: r.spec.number)
    return {
        "Versions": [await sealing.shown(call, r, qualifier=r.spec.number, listed=True) for r in shown],
        "NextMarker": marker,
    }
