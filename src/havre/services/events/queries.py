"""Typed reads of the store."""

from __future__ import annotations

from collections.abc import Sequence

from havre.kernel.resource import scoped
from havre.services.events.errors import no_rule
from havre.services.events.names import Place
from havre.services.events.resources import ARCHIVE, RULE, ArchiveRecord, RuleRecord, rule_name
from havre.store.ports import Reader


def rule(reader: Reader, place: Place, name: str) -> RuleRecord:
    """Raises ApiError ResourceNotFoundException."""
    found = reader.get(RULE, place.account, place.region, rule_name(place.name, name))
    if found is None:
        raise no_rule(name, place.name)
    return found


def rules(reader: Reader, place: Place) -> Sequence[RuleRecord]:
    return reader.find(RULE, "bus", scoped(*place))


def archives(reader: Reader, place: Place) -> Sequence[ArchiveRecord]:
    return reader.find(ARCHIVE, "bus", scoped(*place))
