"""Resource policies of layers' versions."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Request
from havre.kernel.errors import ApiError
from havre.services.lambda_ import layer_queries
from havre.services.lambda_.declare import LambdaOperations
from havre.services.lambda_.errors import not_found
from havre.services.lambda_.operations.layers import version_arns
from havre.services.lambda_.resources import LayerR, Policy
from havre.services.lambda_.rules import statements
from havre.store.ports import Reader, Transaction

ops = LambdaOperations()
_ONE = "LayerName VersionNumber"


def _layer(reader: Reader, call: Call, request: Request) -> LayerR:
    name = layer_queries.named(call, request["LayerName"])
    found = layer_queries.find(reader, name, request["VersionNumber"])
    if found is None:
        raise not_found(f"Layer version {layer_queries.layer_arn(name, request['VersionNumber'])} does not exist.")
    return found


async def _change(call: Call, request: Request, how: Callable[[LayerR, str], Policy]) -> Policy:
    revision = call.world.uuid()

    def change(tx: Transaction) -> Policy:
        found = _layer(tx, call, request)
        policy = how(found, revision)
        wanted = request.get("RevisionId")
        if wanted and wanted != found.spec.policy.revision:
            raise ApiError(
                "PreconditionFailedException",
                "The Revision Id provided does not match the latest Revision Id. "
                "Call the GetLayerPolicy API to retrieve the latest Revision Id",
            )
        tx.update(found, spec=replace(found.spec, policy=policy))
        return policy

    return await call.store.transact(change)


@ops.on(
    "AddLayerVersionPermission",
    f"{_ONE} StatementId Action Principal OrganizationId RevisionId",
    resources=version_arns,
)
async def add_layer_version_permission(call: Call, request: Request) -> Answer:
    policy = await _change(
        call,
        request,
        lambda found, revision: statements.added(
            found.spec.policy, statements.statement(request, found.meta.arn), revision
        ),
    )
    return {"Statement": policy.statements[-1].document, "RevisionId": policy.revision}


@ops.on("RemoveLayerVersionPermission", f"{_ONE} StatementId RevisionId", resources=version_arns)
async def remove_layer_version_permission(call: Call, request: Request) -> Answer:
    await _change(
        call,
        request,
        lambda found, revision: statements.removed(found.spec.policy, request["StatementId"], revision),
    )
    return {}


@ops.on("GetLayerVersionPolicy", _ONE, resources=version_arns)
async def get_layer_version_policy(call: Call, request: Request) -> Answer:
    policy = _layer(call.store, call, request).spec.policy
    if not policy.statements:
        raise not_found("No policy is associated with the given resource.")
    return {"Policy": statements.document(policy.statements), "RevisionId": policy.revision}
