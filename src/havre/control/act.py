"""Carrying out a plan: effects in order through their executors, then all writes in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from havre.control.reconciler import Executor
from havre.kernel.effects import Create, Effect, Plan, Remove, Update, Write
from havre.kernel.errors import ApiError, Conflict, Gone, Permanent, Temporary
from havre.store.ports import Store, Transaction

EXPECTED = (Temporary, Permanent, Gone, Conflict, ApiError)
"""What an effect may fail with. Anything else is a bug: no plan gets to see it."""


async def act(plan: Plan, executors: Mapping[type[Effect], Executor], store: Store) -> tuple[Plan, Exception | None]:
    """Gives the plan that was carried out and, when that was the answer to a failed effect, the failure.

    Raises what an effect failed with when the plan has no answer, and Conflict when a resource has moved on.
    """
    for effect in plan.effects:
        try:
            await executors[type(effect)](effect)
        except EXPECTED as failure:
            if plan.on_failure is None:
                raise
            answer = plan.on_failure(effect, failure)
            if answer.effects:
                raise TypeError(f"the answer to a failed {type(effect).__name__} may only write") from failure
            await write(answer.writes, store)
            return answer, failure
    await write(plan.writes, store)
    return plan, None


async def write(writes: Sequence[Write], store: Store) -> None:
    """All or nothing. An update that changes nothing is left out, so that nobody is woken by it."""
    needed = [w for w in writes if not (isinstance(w, Update) and _changes_nothing(w))]
    if not needed:
        return

    def change(transaction: Transaction) -> None:
        for each in needed:
            _apply(transaction, each)

    try:
        await store.transact(change)
    except Gone as gone:
        raise Conflict(str(gone)) from gone


def _changes_nothing(update: Update) -> bool:
    seen = update.seen
    return (update.spec is None or update.spec == seen.spec) and (update.status is None or update.status == seen.status)


def _apply(transaction: Transaction, write: Write) -> None:
    if isinstance(write, Update):
        transaction.update(write.seen, spec=write.spec, status=write.status)
    elif isinstance(write, Remove):
        transaction.remove(write.seen)
    else:
        _create(transaction, write)


def _create(transaction: Transaction, new: Create[Any, Any]) -> None:
    transaction.create(
        transaction.kind(new.kind),
        account=new.account,
        region=new.region,
        name=new.name,
        arn=new.arn,
        spec=new.spec,
        status=new.status,
    )
