"""Waiting for records to be durable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from havre.store.ports import Clear, Put, Records, Take


def durably(
    records: Records,
    changes: Sequence[Put | Take | Clear],
    then: Callable[[Exception | None], None] = lambda error: None,
) -> asyncio.Future[None]:
    """Written from now on, waited for or not. Done when it is durable and ``then`` has heard of it; raises Temporary when
    the disk refuses. Who may be cancelled while waiting shields it."""
    durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def done(error: Exception | None) -> None:
        then(error)
        if durable.done():
            return
        if error is None:
            durable.set_result(None)
        else:
            durable.set_exception(error)
            durable.exception()  # whoever wanted it may have gone

    records.write(changes, done)
    return durable
