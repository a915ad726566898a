"""The images of a repository, as lifecycle policies look at them."""

from __future__ import annotations

from havre.control.images import IMAGE, Place
from havre.control.images.changes import tags_of
from havre.core.images.lifecycle import Candidate
from havre.store.ports import Reader


def candidates(reader: Reader, place: Place) -> tuple[Candidate, ...]:
    return tuple(
        Candidate(
            i.spec.digest,
            tuple(tags_of(reader, place, i.spec.digest)),
            i.meta.created,
            i.status.pulled,
            tuple(p.spec.digest for p in reader.find(IMAGE, "child", place.key(i.spec.digest))),
        )
        for i in reader.find(IMAGE, "repository", place.scope)
    )
