"""Publishing under a number, or to ``$LATEST.PUBLISHED``: the version of a function on a capacity provider that is
published again and again, and runs what was before until the new one is ready."""

from __future__ import annotations

from msgspec.structs import replace

from havre.control.operation import Request
from havre.services.lambda_.capacity_queries import check_versions, usable
from havre.services.lambda_.errors import busy_updating, invalid
from havre.services.lambda_.present import updating
from havre.services.lambda_.publishing import publish
from havre.services.lambda_.queries import function_arn
from havre.services.lambda_.resources import (
    PUBLISHED,
    VERSION,
    FunctionR,
    Readiness,
    VersionR,
    VersionSpec,
    qualified,
)
from havre.store.ports import Transaction


def publish_to(tx: Transaction, function: FunctionR, revision: str, request: Request) -> FunctionR | VersionR:
    """What a request's Publish and PublishTo ask for: the function itself when they ask for nothing."""
    if request.get("Publish"):
        return publish_as(tx, function, revision, request.get("PublishTo", ""))
    if request.get("PublishTo"):
        raise invalid("PublishTo can only be specified when Publish is true.")
    return function


def publish_as(
    tx: Transaction, function: FunctionR, revision: str, to: str, description: str | None = None
) -> VersionR:
    """Raises ApiError."""
    managed = function.spec.config.managed
    if managed is not None:
        usable(tx, function.spec.config)
    elif to:
        raise invalid("PublishTo isn't supported for Lambda Default functions.")
    if not to:
        return publish(tx, function, revision, description)
    return _republish(tx, function, revision, description)


def _republish(tx: Transaction, function: FunctionR, revision: str, description: str | None) -> VersionR:
    m, spec = function.meta, function.spec
    config = spec.config if description is None else replace(spec.config, description=description)
    name = qualified(m.name, PUBLISHED)
    old = tx.get(VERSION, m.account, m.region, name)
    record = VersionSpec(m.name, spec.uid, PUBLISHED, config, revision, spec.modified)
    if old is None:
        assert config.managed is not None
        check_versions(tx, config.managed.provider)
        return tx.create(
            VERSION,
            account=m.account,
            region=m.region,
            name=name,
            arn=function_arn(m.account, m.region, m.name, PUBLISHED),
            spec=record,
            status=Readiness(),
        )
    if updating(old):
        raise busy_updating(old.meta.arn)
    if old.status.state == "Active" and replace(old.spec.config, named=()) == replace(config, named=()):
        return old
    again = replace(record, generation=old.spec.generation + 1, scaling=old.spec.scaling)
    return tx.update(old, spec=again, status=Readiness() if old.status.serving is None else None)
