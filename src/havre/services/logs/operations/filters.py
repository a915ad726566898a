"""What the filters of a log group have in common."""

from __future__ import annotations

from typing import TypeVar

from havre.kernel.errors import ApiError
from havre.kernel.resource import Kind, NoStatus, scoped
from havre.services.logs.resources import Group, MetricFilter, Subscription
from havre.store.ports import Transaction

FilterT = TypeVar("FilterT", MetricFilter, Subscription)


def keep(tx: Transaction, kind: Kind[FilterT, NoStatus], group: Group, wanted: FilterT, most: int) -> None:
    """In the place of the group's filter of that name, or as a further one of ``most``. Raises ApiError
    LimitExceededException."""
    m, name = group.meta, f"{wanted.group}:{wanted.name}"
    seen = tx.get(kind, m.account, m.region, name)
    if seen is not None:
        tx.update(seen, spec=wanted)
        return
    if tx.count(kind, "group", scoped(m.account, m.region, wanted.group)) >= most:
        raise ApiError("LimitExceededException", "Resource limit exceeded.")
    tx.create(kind, account=m.account, region=m.region, name=name, arn=m.arn, spec=wanted, status=NoStatus())


def forget(tx: Transaction, kind: Kind[FilterT, NoStatus], group: Group, name: str, what: str) -> None:
    """The group's filter of that name; ``what`` says of which sort. Raises ApiError ResourceNotFoundException."""
    m = group.meta
    seen = tx.get(kind, m.account, m.region, f"{m.name}:{name}")
    if seen is None:
        raise ApiError("ResourceNotFoundException", f"The specified {what} filter does not exist.")
    tx.remove(seen)
