"""From what a caller names to what is run: looked up once, and again only when one of the records behind it has changed."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from havre.control.functions.ports import Functions
from havre.core.invoking.concurrency import Pool, Share
from havre.core.invoking.meters import Place, place
from havre.kernel.errors import ApiError
from havre.kernel.function import Function
from havre.kernel.resource import scoped
from havre.services.lambda_ import limits, queries
from havre.services.lambda_.compile import function_of
from havre.services.lambda_.invoking import refusals
from havre.services.lambda_.resources import LATEST, PROVISIONED, Configuration, FunctionR, VersionR
from havre.store.ports import Reader

REMEMBERED = 10_000


class Served(msgspec.Struct, frozen=True):
    """One version as it is run. ``kept`` says that environments of it are kept initialised; it is counted at ``place``."""

    function: Function
    version: str
    config: Configuration
    share: Share
    kept: bool
    record: FunctionR | VersionR
    place: Place


class Target(msgspec.Struct, frozen=True):
    """``arn`` is what the caller named, ``unqualified`` the function's own. ``terminate``: a recursive loop ends."""

    arn: str
    unqualified: str
    account: str
    region: str
    name: str
    qualifier: str
    resolved: queries.Resolved
    served: dict[str, Served | ApiError]
    terminate: bool

    @property
    def managed(self) -> bool:
        """Whether it is on a capacity provider."""
        return self.resolved.function.spec.config.managed is not None

    def draw(self, chance: float) -> Served:
        """The version that serves one invocation; raises ApiError where it cannot be run. ``chance``: 0 ≤ chance < 1."""
        found = self.served[self.resolved.draw(chance)]
        if isinstance(found, ApiError):
            raise ApiError(found.code, found.message, found.status, found.fields)
        return found

    def dead_letter(self, version: str) -> str:
        """The dead-letter queue of the version that ran, else of the first that may."""
        served = self._version(version)
        return "" if served is None else served.config.dead_letter

    def role(self, version: str) -> str:
        served = self._version(version)
        return "" if served is None else served.config.role

    def _version(self, version: str) -> Served | None:
        found = self.served.get(version) or next(iter(self.served.values()))
        return found if isinstance(found, Served) else None


class _Known(msgspec.Struct):
    revision: int
    target: Target


class Targets:
    """Reads ``store``; what it gives is as of now."""

    def __init__(self, store: Reader, functions: Callable[[], Functions]) -> None:
        self._store = store
        self._functions = functions
        self._known: dict[tuple[str, str, str, str], _Known] = {}
        self._pools: dict[tuple[str, str], tuple[int, Pool]] = {}
        self._holds: dict[str, tuple[int, int]] = {}

    def find(self, account: str, region: str, name: str, qualifier: str = "") -> Target:
        """By the name in any form. Raises ApiError as ``queries.resolve`` does."""
        key = (account, region, name, qualifier)
        known = self._known.get(key)
        revision = self._store.revision
        if known is not None:
            if known.revision == revision:
                return known.target
            if self._still(known.target, account, region, name, qualifier):
                known.revision = revision
                return known.target
        target = self._make(account, region, name, qualifier)
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[key] = _Known(revision, target)
        return target

    def _still(self, target: Target, account: str, region: str, name: str, qualifier: str) -> bool:
        """Whether the records are the same ones: the store never changes a record in place."""
        try:
            now = queries.resolve(self._store, account, region, name, qualifier)
        except ApiError:
            return False
        was = target.resolved
        if now.function is not was.function or now.alias is not was.alias:
            return False
        for version, served in target.served.items():
            if isinstance(served, ApiError):
                return False
            if version != LATEST and self._record(now.function, version) is not served.record:
                return False
            if self._kept(now.function, version) != served.kept:
                return False
        return True

    def _make(self, account: str, region: str, name: str, qualifier: str) -> Target:
        found = queries.published(self._store, queries.resolve(self._store, account, region, name, qualifier))
        m = found.function.meta
        return Target(
            arn=found.arn,
            unqualified=queries.function_arn(m.account, m.region, m.name),
            account=m.account,
            region=m.region,
            name=m.name,
            qualifier=found.qualifier,
            resolved=found,
            served={version: self._serve(found.function, version, found.qualifier) for version, _ in found.shares},
            terminate=found.function.spec.recursive_loop != "Allow",
        )

    def _serve(self, function: FunctionR, version: str, qualifier: str) -> Served | ApiError:
        if version == LATEST and function.spec.config.managed is not None:
            return refusals.unpublished(queries.has_published(self._store, function))
        try:
            record = queries.record(self._store, function, version)
        except ApiError as gone:
            return gone
        runs, serving = function_of(record), record.status.serving
        if runs is None or serving is None or (serving.managed is not None and record.status.state != "Active"):
            return refusals.not_ready(record.status, record.spec.config.snap_start and version != LATEST)
        share = Share(function.meta.name, version, function.spec.reserved)
        counted = place(function.meta.name, qualifier, version)
        return Served(runs, version, serving, share, self._kept(function, version), record, counted)

    def _record(self, function: FunctionR, version: str) -> FunctionR | VersionR | None:
        try:
            return queries.record(self._store, function, version)
        except ApiError:
            return None

    def _kept(self, function: FunctionR, version: str) -> bool:
        """Whether provisioned concurrency is configured for this version, or for an alias: which versions an alias leads to
        is for who keeps the environments to know."""
        if version == LATEST:
            return False
        m = function.meta
        return self._store.count(PROVISIONED, "function", scoped(m.account, m.region, m.name)) > 0

    def share(self, served: Served) -> Share:
        """What this version may have now, provisioned environments as they are ready."""
        share = served.share
        held = 0 if share.reserved is None else self._held(served.record)
        if held:
            share = msgspec.structs.replace(share, held=held)
        if not served.kept:
            return share
        kept = self._functions().provisioned().get(served.function.id)
        return msgspec.structs.replace(share, provisioned=kept.ready if kept is not None else 0)

    def _held(self, record: FunctionR | VersionR) -> int:
        """Provisioned environments that are there, of all versions of the function."""
        m = record.meta
        function, revision = scoped(m.account, m.region, record.spec.function), self._store.revision
        known = self._holds.get(function)
        if known is not None and known[0] == revision:
            return known[1]
        held = sum(each.status.available for each in self._store.find(PROVISIONED, "function", function))
        if len(self._holds) >= REMEMBERED:
            self._holds.clear()
        self._holds[function] = (revision, held)
        return held

    def pool(self, account: str, region: str) -> Pool:
        known = self._pools.get((account, region))
        revision = self._store.revision
        if known is not None and known[0] == revision:
            return known[1]
        pool = Pool(limits.CONCURRENCY, limits.reserved(self._store, account, region))
        self._pools[account, region] = (revision, pool)
        return pool
