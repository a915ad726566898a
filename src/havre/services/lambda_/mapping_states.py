"""The states of event source mappings: the one place where they change.

Operations ask (``asked``, ``meta.deleting``), which takes a mapping into a state that passes: Creating, Enabling, Disabling,
Updating, Deleting. Whoever drives pollers ends it once they work by the spec of that generation (``settled``), and removes a
deleted mapping when its poller has stopped. What a poller says of its last turn is ``reported``.
"""

from __future__ import annotations

from msgspec.structs import replace

from havre.services.lambda_.resources import MappingR, MappingSpec, MappingStatus


def polled(mapping: MappingR) -> bool:
    """Whether its source is to be read."""
    return mapping.spec.enabled and mapping.meta.deleting is None


def settling(mapping: MappingR) -> bool:
    """Whether something that was asked for has not come about yet."""
    return mapping.meta.deleting is not None or mapping.status.generation != mapping.spec.generation


def state(mapping: MappingR) -> str:
    """As AWS shows it."""
    return "Deleting" if mapping.meta.deleting is not None else mapping.status.state


def created(spec: MappingSpec, result: str) -> MappingStatus:
    """Of a new mapping. One that is not to be polled has nothing to wait for."""
    if spec.enabled:
        return MappingStatus(result=result)
    return MappingStatus("Disabled", spec.generation, result)


def asked(status: MappingStatus, old: MappingSpec, new: MappingSpec) -> MappingStatus:
    """Of a mapping whose spec changes."""
    if old.enabled != new.enabled:
        return replace(status, state="Enabling" if new.enabled else "Disabling")
    return replace(status, state="Updating")


def settled(mapping: MappingR) -> MappingStatus:
    """Once its poller works by the spec, or none does any more."""
    generation = mapping.spec.generation
    return replace(mapping.status, state="Enabled" if mapping.spec.enabled else "Disabled", generation=generation)


def reported(mapping: MappingR, result: str) -> MappingStatus:
    return replace(mapping.status, result=result)
