"""What a change may be refused for, and the layers as ECR's API needs them."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Protocol

from havre.control.images.kinds import Place


class Why(Enum):
    """The reasons for a refusal."""

    NO_REPOSITORY = "there is no such repository"
    NOT_EMPTY = "the repository still has images"
    NO_IMAGE = "there is no such image"
    NO_LAYERS = "the manifest names layers that are not in the repository"
    NO_IMAGES = "the index names images that are not in the repository"
    WRONG_SIZE = "the manifest tells another size of a layer than it has"
    TAG_TAKEN = "the tag cannot be moved"
    IN_USE = "an index or an image refers to it"
    TOO_MANY = "a limit is reached"
    NO_UPLOAD = "there is no such upload"
    NOT_NEXT = "the part does not follow what was received before"
    WRONG_DIGEST = "the content does not have the digest that was given"
    EMPTY = "nothing was uploaded"


class Refusal(Exception):
    """Nothing was changed. ``names`` are the digests or tags that it is about; ``expected`` is the next byte (NOT_NEXT)."""

    def __init__(self, why: Why, message: str, names: Sequence[str] = (), expected: int = 0) -> None:
        super().__init__(message)
        self.why = why
        self.message = message
        self.names = tuple(names)
        self.expected = expected


class Layers(Protocol):
    """Blobs on disk, for ECR's layer operations and large manifests. Every method may raise Temporary (disk full)."""

    async def begin(self, place: Place) -> str:
        """The id of a new upload."""
        ...

    async def append(self, place: Place, upload: str, first: int, content: bytes) -> int:
        """Put ``content`` at offset ``first``. Gives the number of bytes received in all. Raises Refusal (NO_UPLOAD,
        NOT_NEXT)."""
        ...

    async def received(self, place: Place, upload: str) -> int:
        """Bytes received so far. Raises Refusal (NO_UPLOAD)."""
        ...

    async def complete(self, place: Place, upload: str, digest: str) -> int:
        """The layer is in the repository, durably; gives its size. Raises Refusal (NO_UPLOAD, WRONG_DIGEST,
        NO_REPOSITORY)."""
        ...

    async def keep(self, content: bytes, digest: str) -> None:
        """Make the content durable under its digest; a layer record must follow soon."""
        ...

    async def read(self, digest: str) -> bytes:
        """The whole content. Raises Gone."""
        ...
