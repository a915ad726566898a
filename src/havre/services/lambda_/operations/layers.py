"""Layers and their versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from havre.control.operation import Answer, Call, Request
from havre.kernel.errors import ApiError
from havre.kernel.resource import NoStatus
from havre.services.lambda_ import downloads, layer_queries, package
from havre.services.lambda_.declare import LambdaOperations
from havre.services.lambda_.errors import absent, invalid
from havre.services.lambda_.facilities import Facilities
from havre.services.lambda_.limits import check_code
from havre.services.lambda_.names import LayerName
from havre.services.lambda_.paging import page
from havre.services.lambda_.present import code_sha256
from havre.services.lambda_.publishing import next_number
from havre.services.lambda_.resources import LAYER, LayerR, LayerSpec, qualified
from havre.services.lambda_.rules import runtimes
from havre.services.lambda_.times import spelled
from havre.store.ports import Transaction

_PUBLISH = "LayerName Description Content CompatibleRuntimes LicenseInfo CompatibleArchitectures"
_LIST = "CompatibleRuntime CompatibleArchitecture Marker MaxItems"


def operations(facilities: Facilities) -> LambdaOperations:
    ops = LambdaOperations()
    ops.on("PublishLayerVersion", _PUBLISH, resources=layer_arns)(partial(publish_layer_version, facilities))
    one = "LayerName VersionNumber"
    ops.on("GetLayerVersion", one, resources=version_arns)(partial(get_layer_version, facilities))
    ops.on("GetLayerVersionByArn", "Arn", resources=lambda c, r: (r["Arn"],), action="lambda:GetLayerVersion")(
        partial(get_layer_version_by_arn, facilities)
    )
    ops.on("DeleteLayerVersion", one, resources=version_arns)(delete_layer_version)
    ops.on("ListLayers", _LIST, resources=None)(list_layers)
    ops.on("ListLayerVersions", f"LayerName {_LIST}", resources=layer_arns)(list_layer_versions)
    return ops


def layer_arns(call: Call, request: Request) -> Sequence[str]:
    return (layer_queries.layer_arn(layer_queries.named(call, request["LayerName"])),)


def version_arns(call: Call, request: Request) -> Sequence[str]:
    return (layer_queries.layer_arn(layer_queries.named(call, request["LayerName"]), request["VersionNumber"]),)


async def publish_layer_version(facilities: Facilities, call: Call, request: Request) -> Answer:
    name = layer_queries.named(call, request["LayerName"])
    if (name.account, name.region) != (call.account, call.region):
        raise ApiError("AccessDeniedException", "Layers of another account or region cannot be published.", 403)
    runtimes.check_of_layer(request.get("CompatibleRuntimes") or ())
    if request["Content"].get("S3Bucket") == package.HOT_RELOAD:
        raise absent("layers from a directory")
    code = await package.fetch_archive(call, request["Content"])
    await package.keep(facilities, code)

    def change(tx: Transaction) -> LayerR:
        check_code(tx, call.account, call.region, code.code.size)
        number = next_number(tx, call.account, call.region, LAYER.name, name.name)
        spec = LayerSpec(
            name.name,
            number,
            code.code,
            call.now,
            code.unzipped,
            request.get("Description") or "",
            request.get("LicenseInfo") or "",
            _listed(request, "CompatibleRuntimes"),
            _listed(request, "CompatibleArchitectures"),
        )
        return tx.create(
            LAYER,
            account=call.account,
            region=call.region,
            name=qualified(name.name, str(number)),
            arn=layer_queries.layer_arn(name, number),
            spec=spec,
            status=NoStatus(),
        )

    return _whole(facilities, call, await call.store.transact(change))


def _listed(request: Request, member: str) -> tuple[str, ...] | None:
    return None if request.get(member) is None else tuple(request[member])


def _whole(facilities: Facilities, call: Call, layer: LayerR) -> Mapping[str, Any]:
    code = layer.spec.code
    return {
        **_item(layer),
        "LayerArn": layer.meta.arn.rpartition(":")[0],
        "Content": {
            "Location": downloads.link(call.site, facilities.secret, code.digest, call.now),
            "CodeSha256": code_sha256(code),
            "CodeSize": code.size,
        },
    }


def _item(layer: LayerR) -> Mapping[str, Any]:
    spec = layer.spec
    return {
        "LayerVersionArn": layer.meta.arn,
        "Version": spec.number,
        "Description": spec.description,
        "CreatedDate": spelled(spec.created),
        "CompatibleRuntimes": spec.runtimes,
        "CompatibleArchitectures": spec.architectures,
        "LicenseInfo": spec.license or None,
    }


async def get_layer_version(facilities: Facilities, call: Call, request: Request) -> Answer:
    name = layer_queries.named(call, request["LayerName"])
    return _whole(facilities, call, layer_queries.get(call.store, name, request["VersionNumber"]))


async def get_layer_version_by_arn(facilities: Facilities, call: Call, request: Request) -> Answer:
    name = layer_queries.named(call, request["Arn"])
    if name.region != call.region:
        raise invalid(f"The layer is not in the region {call.region}.")
    return _whole(facilities, call, layer_queries.get(call.store, name, name.number))


async def delete_layer_version(call: Call, request: Request) -> Answer:
    """No error for what is not there. Functions that have the layer keep it."""
    name, number = layer_queries.named(call, request["LayerName"]), request["VersionNumber"]
    if number < 1:
        raise invalid("Layer Version Cannot be less than 1")

    def change(tx: Transaction) -> None:
        found = layer_queries.find(tx, name, number)
        if found is not None:
            tx.remove(found)

    await call.store.transact(change)
    return {}


def _fits(layer: LayerR, request: Request) -> bool:
    """A layer that names no runtimes or architectures fits no filter on them, as in AWS."""
    runtime, architecture = request.get("CompatibleRuntime"), request.get("CompatibleArchitecture")
    return (not runtime or runtime in (layer.spec.runtimes or ())) and (
        not architecture or architecture in (layer.spec.architectures or ())
    )


def _check_filter(request: Request) -> None:
    if request.get("CompatibleRuntime"):
        runtimes.check_filter(request["CompatibleRuntime"])


async def list_layers(call: Call, request: Request) -> Answer:
    _check_filter(request)
    newest: dict[str, LayerR] = {}
    for layer in call.store.list(LAYER, call.account, call.region):
        known = newest.get(layer.spec.layer)
        if _fits(layer, request) and (known is None or known.spec.number < layer.spec.number):
            newest[layer.spec.layer] = layer
    found = [newest[name] for name in sorted(newest)]
    shown, marker = page(call, request, found, lambda layer: layer.spec.layer)
    return {
        "Layers": [
            {
                "LayerName": each.spec.layer,
                "LayerArn": each.meta.arn.rpartition(":")[0],
                "LatestMatchingVersion": _item(each),
            }
            for each in shown
        ],
        "NextMarker": marker,
    }


async def list_layer_versions(call: Call, request: Request) -> Answer:
    _check_filter(request)
    name: LayerName = layer_queries.named(call, request["LayerName"])
    found = [layer for layer in layer_queries.versions(call.store, name) if _fits(layer, request)]
    shown, marker = page(call, request, found, lambda layer: str(layer.spec.number))
    return {"LayerVersions": [_item(each) for each in shown], "NextMarker": marker}
