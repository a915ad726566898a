"""Versions: a copy of ``$LATEST`` under a number that never comes again."""

from __future__ import annotations

from msgspec.structs import replace

from havre.kernel.resource import NoStatus
from havre.services.lambda_.capacity_queries import check_versions
from havre.services.lambda_.errors import busy_pending, busy_updating
from havre.services.lambda_.present import updating
from havre.services.lambda_.queries import function_arn
from havre.services.lambda_.resources import (
    COUNTER,
    FUNCTION,
    VERSION,
    Configuration,
    CounterSpec,
    FunctionR,
    Readiness,
    VersionR,
    VersionSpec,
    qualified,
)
from havre.store.ports import Reader, Transaction


def check_ready(function: FunctionR) -> None:
    """Raises ApiError while the function is created or an update of it is in progress."""
    if updating(function):
        if not function.status.generation:
            raise busy_pending(function.status.state)
        raise busy_updating(function.meta.arn)


def newest(reader: Reader, function: FunctionR) -> VersionR | None:
    m = function.meta
    number = function.spec.published
    return reader.get(VERSION, m.account, m.region, qualified(m.name, number)) if number else None


def unchanged(function: FunctionR, last: VersionR) -> bool:
    """Whether the function is still what it was when this version was published of it."""
    now, then = function.spec.config, last.spec.config
    described = now.description if last.spec.described is None else last.spec.described
    return replace(now, named=()) == replace(then, named=(), description=described)


def publish(tx: Transaction, function: FunctionR, revision: str, description: str | None = None) -> VersionR:
    """The version that was published last, if nothing has changed since. A new one makes another revision of the
    function."""
    last = newest(tx, function)
    if last is not None and last.spec.uid == function.spec.uid and unchanged(function, last):
        return last
    m, spec = function.meta, function.spec
    if spec.config.managed is not None:
        check_versions(tx, spec.config.managed.provider)
    number = str(next_number(tx, m.account, m.region, FUNCTION.name, m.name))
    config = spec.config if description is None else replace(spec.config, description=description)
    record = VersionSpec(
        m.name,
        spec.uid,
        number,
        config,
        revision,
        spec.modified,
        update_runtime_on=spec.update_runtime_on,
        runtime_version=spec.runtime_version,
        described=spec.config.description,
    )
    version = tx.create(
        VERSION,
        account=m.account,
        region=m.region,
        name=qualified(m.name, number),
        arn=function_arn(m.account, m.region, m.name, number),
        spec=record,
        status=_readiness(function, config),
    )
    tx.update(function, spec=replace(spec, published=number, revision=f"{revision} published"))
    return version


def _readiness(function: FunctionR, config: Configuration) -> Readiness:
    """A version is what its function is already, and can be invoked at once; SnapStart takes its snapshot first, and what
    is on a capacity provider has its environments started."""
    if config.snap_start or config.managed or updating(function) or function.status.serving is None:
        return Readiness()
    return Readiness(state="Active", reason="", reason_code="", serving=config)


def next_number(tx: Transaction, account: str, region: str, kind: str, name: str) -> int:
    """The next number of a function's or a layer's versions: 1 is the first."""
    counter = f"{kind}:{name}"
    found = tx.get(COUNTER, account, region, counter)
    if found is not None:
        tx.update(found, spec=CounterSpec(found.spec.last + 1))
        return found.spec.last + 1
    arn = function_arn(account, region, name)
    tx.create(COUNTER, account=account, region=region, name=counter, arn=arn, spec=CounterSpec(1), status=NoStatus())
    return 1
