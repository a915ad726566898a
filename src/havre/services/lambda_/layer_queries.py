"""Typed reads of layers."""

from __future__ import annotations

from collections.abc import Sequence

from havre.control.operation import Call
from havre.kernel.arn import arn
from havre.kernel.resource import scoped
from havre.services.lambda_.errors import invalid, not_found
from havre.services.lambda_.names import LayerName, parse_layer
from havre.services.lambda_.resources import LAYER, Configuration, LayerR, LayerUse, qualified
from havre.store.ports import Reader

MOST = 5


def named(call: Call, text: str) -> LayerName:
    """By name or ARN, account and region filled in."""
    said = parse_layer(text)
    return LayerName(said.name, said.number, said.account or call.account, said.region or call.region)


def layer_arn(name: LayerName, number: int = 0) -> str:
    resource = f"layer:{name.name}:{number}" if number else f"layer:{name.name}"
    return arn("lambda", name.region, name.account, resource)


def find(reader: Reader, name: LayerName, number: int) -> LayerR | None:
    return reader.get(LAYER, name.account, name.region, qualified(name.name, str(number)))


def get(reader: Reader, name: LayerName, number: int) -> LayerR:
    """Raises ApiError."""
    if number < 1:
        raise invalid("Layer Version Cannot be less than 1")
    found = find(reader, name, number)
    if found is None:
        raise not_found("The resource you requested does not exist.")
    return found


def versions(reader: Reader, name: LayerName) -> Sequence[LayerR]:
    """The newest first."""
    found = reader.find(LAYER, "layer", scoped(name.account, name.region, name.name))
    return sorted(found, key=lambda r: -r.spec.number)


async def used_layers(call: Call, arns: Sequence[str], config: Configuration) -> tuple[LayerUse, ...]:
    """The layers of a function. Raises ApiError: not there, not allowed, of another region, too many."""
    if not arns:
        return ()
    if config.package == "Image":
        raise invalid(
            "Please don't provide Handler or Runtime or Layer when the intent is to create a function with packageType "
            "Image."
        )
    if len(arns) > MOST:
        raise invalid(f"Cannot reference more than {MOST} layers.")
    seen: dict[str, str] = {}
    used: list[LayerUse] = []
    for each in arns:
        name = named(call, each)
        layer = layer_arn(name)
        if layer in seen:
            raise invalid(
                "Two different versions of the same layer are not allowed to be referenced in the same function. "
                f"{seen[layer]} and {each} are versions of the same layer."
            )
        seen[layer] = each
        used.append(await _used(call, each, name))
    return tuple(used)


async def _used(call: Call, text: str, name: LayerName) -> LayerUse:
    if name.region != call.region:
        raise invalid(
            f"Layers are not in the same region as the function. Layers are expected to be in region {call.region}."
        )
    await call.authorize("lambda:GetLayerVersion", [layer_arn(name, name.number)], {})
    found = find(call.store, name, name.number)
    if found is None:
        raise invalid(f"Layer version {text} does not exist.")
    return LayerUse(text, found.spec.code, found.spec.unzipped)
