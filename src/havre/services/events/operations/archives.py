"""Archives: what was put on a bus, kept to be replayed."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.kernel.errors import not_built
from havre.kernel.resource import NoStatus
from havre.services.events import names, present, rules
from havre.services.events.errors import exists, missing, no_bus, validation
from havre.services.events.names import Place, of_archive
from havre.services.events.paging import page
from havre.services.events.resources import ARCHIVE, JOURNALS, Archive, ArchiveRecord
from havre.store.ports import Part, Reader, Transaction

ops = Operations()


def found_archive(call: Call, name: str, reader: Reader | None = None) -> ArchiveRecord:
    """Raises ApiError ResourceNotFoundException."""
    found = (reader or call.store).get(ARCHIVE, call.account, call.region, name)
    if found is None:
        raise missing(f"Archive {name} does not exist.")
    return found


def _own(call: Call, arn: str) -> Place:
    place = names.own_bus(call, arn, call.store)
    if not arn.startswith("arn:") or place.account != call.account:
        raise no_bus(place.name)
    return place


def _checked(request: Request) -> None:
    if request.get("KmsKeyIdentifier"):
        raise not_built("events", "archives with KmsKeyIdentifier")
    if request.get("EventPattern"):
        rules.check_pattern(request["EventPattern"])


@ops("CreateArchive", resources=of_archive)
async def create_archive(call: Call, request: Request) -> Answer:
    name, place = request["ArchiveName"], _own(call, request["EventSourceArn"])
    _checked(request)
    journal = f"{JOURNALS}{call.account}/{call.region}/{call.world.hex(16)}"
    spec = Archive(
        place.name,
        journal,
        request.get("EventPattern") or "",
        request.get("Description") or "",
        request.get("RetentionDays") or 0,
    )
    arn = call.arn(f"archive/{name}")

    def change(tx: Transaction) -> ArchiveRecord:
        if tx.get(ARCHIVE, call.account, call.region, name) is not None:
            raise exists(f"Archive {name} already exists.")
        key = {"account": call.account, "region": call.region, "name": name}
        return tx.create(ARCHIVE, **key, arn=arn, spec=spec, status=NoStatus())

    made = await call.store.transact(change)
    return {"ArchiveArn": arn, "State": "ENABLED", "CreationTime": made.meta.created}


@ops("UpdateArchive", resources=of_archive)
async def update_archive(call: Call, request: Request) -> Answer:
    _checked(request)

    def change(tx: Transaction) -> ArchiveRecord:
        found = found_archive(call, request["ArchiveName"], tx)
        said: dict[str, Any] = {
            ours: request[theirs]
            for theirs, ours in (
                ("Description", "description"),
                ("EventPattern", "pattern"),
                ("RetentionDays", "retention"),
            )
            if request.get(theirs) is not None
        }
        return tx.update(found, spec=replace(found.spec, **said))

    made = await call.store.transact(change)
    return {"ArchiveArn": made.meta.arn, "State": "ENABLED", "CreationTime": made.meta.created}


@ops("DeleteArchive", resources=of_archive)
async def delete_archive(call: Call, request: Request) -> Answer:
    """The record, then the events."""

    def change(tx: Transaction) -> str:
        found = found_archive(call, request["ArchiveName"], tx)
        tx.remove(found)
        return found.spec.journal

    await call.journal.drop(await call.store.transact(change))
    return {}


async def _kept(call: Call, archive: ArchiveRecord) -> int:
    """How many events: they are numbered, and go in the order in which they came."""
    first = await call.journal.scan(archive.spec.journal, limit=1)
    last = await call.journal.scan(archive.spec.journal, Part(reverse=True), limit=1)
    return last[0].seq - first[0].seq + 1 if first and last else 0


@ops("DescribeArchive", resources=of_archive)
async def describe_archive(call: Call, request: Request) -> Answer:
    found = found_archive(call, request["ArchiveName"])
    extents = await call.journal.extents(found.spec.journal)
    return {
        **present.archive(found, extents.get(found.spec.journal), await _kept(call, found)),
        "ArchiveArn": found.meta.arn,
        "Description": found.spec.description or None,
        "EventPattern": found.spec.pattern or None,
    }


@ops("ListArchives")
async def list_archives(call: Call, request: Request) -> Answer:
    given = [k for k in ("NamePrefix", "EventSourceArn", "State") if request.get(k)]
    if len(given) > 1:
        raise validation("At most one filter is allowed for ListArchives: State, EventSourceArn or NamePrefix.")
    source, prefix = request.get("EventSourceArn"), request.get("NamePrefix") or ""
    found = [
        r
        for r in call.store.list(ARCHIVE, call.account, call.region)
        if r.meta.name.startswith(prefix)
        and source in (None, Place(call.account, call.region, r.spec.bus).arn)
        and request.get("State") in (None, "ENABLED")
    ]
    shown, token = page(call, request, found, lambda r: r.meta.name)
    extents = await call.journal.extents(f"{JOURNALS}{call.account}/{call.region}/")
    told = [present.archive(r, extents.get(r.spec.journal), await _kept(call, r)) for r in shown]
    return {"Archives": told, "NextToken": token}
