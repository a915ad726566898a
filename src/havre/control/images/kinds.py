"""The records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from havre.core.images.mutability import MUTABLE
from havre.kernel.resource import Kind, NoStatus, Resource, scoped


class Place(NamedTuple):
    """A repository, whether it exists or not."""

    account: str
    region: str
    repository: str

    @property
    def scope(self) -> str:
        """The value of the ``repository`` indexes."""
        return scoped(self.account, self.region, self.repository)

    @property
    def arn(self) -> str:
        return f"arn:aws:ecr:{self.region}:{self.account}:repository/{self.repository}"

    def at(self, digest: str) -> str:
        """Name of the image or layer with this digest."""
        return f"{self.repository}@{digest}"

    def tagged(self, tag: str) -> str:
        """Name of the tag."""
        return f"{self.repository}:{tag}"

    def key(self, digest: str) -> str:
        """The value of the ``image``, ``blob``, ``child`` and ``subject`` indexes."""
        return scoped(self.account, self.region, f"{self.repository}@{digest}")


class RepositorySpec(msgspec.Struct, frozen=True):
    """``exclusions`` are the wildcards of ``*_WITH_EXCLUSION``. ``policy`` and ``lifecycle`` are JSON texts, "" for none."""

    mutability: str = MUTABLE
    exclusions: tuple[str, ...] = ()
    scan_on_push: bool = False
    tags: Mapping[str, str] = {}
    policy: str = ""
    lifecycle: str = ""


class RepositoryStatus(msgspec.Struct, frozen=True):
    """``evaluated``: when the lifecycle policy was last applied. ``preview``: the policy of the last preview, when it was
    asked for, and what it would expire: (digest, rule priority)."""

    evaluated: float | None = None
    preview: str = ""
    previewed: float | None = None
    would_expire: tuple[tuple[str, int], ...] = ()


class ImageSpec(msgspec.Struct, frozen=True):
    """``content`` is the manifest, b"" when it is so large (``length`` bytes) that it lies with the blobs. ``size`` is
    that of config and layers. ``blobs`` are what must stay while the image does, ``children`` the manifests of an index."""

    repository: str
    digest: str
    media_type: str
    content: bytes
    length: int
    size: int
    blobs: tuple[str, ...] = ()
    children: tuple[str, ...] = ()
    subject: str = ""
    config_media_type: str = ""
    artifact_type: str = ""
    annotations: Mapping[str, str] = {}


class ImageStatus(msgspec.Struct, frozen=True):
    """``pulled``: the last recorded pull, seconds since the epoch."""

    pulled: float | None = None


class TagSpec(msgspec.Struct, frozen=True):
    repository: str
    tag: str
    digest: str


class LayerSpec(msgspec.Struct, frozen=True):
    """A blob that a repository may serve."""

    repository: str
    digest: str
    size: int


class RegistrySpec(msgspec.Struct, frozen=True):
    """What an account sets for its whole registry in a region. ``settings``: account settings by name."""

    policy: str = ""
    settings: Mapping[str, str] = {}


class AddressSpec(msgspec.Struct, frozen=True):
    """The loopback address at which the registry of this account and region answers."""

    address: str


Repository = Resource[RepositorySpec, RepositoryStatus]
Image = Resource[ImageSpec, ImageStatus]
Tag = Resource[TagSpec, NoStatus]
Layer = Resource[LayerSpec, NoStatus]


def place_of(resource: Resource[Any, Any]) -> Place:
    """The repository that an image, a tag or a layer belongs to."""
    return Place(resource.meta.account, resource.meta.region, resource.spec.repository)


def _scope(resource: Resource[Any, Any]) -> str:
    return scoped(resource.meta.account, resource.meta.region, resource.spec.repository)


def _key(resource: Resource[Any, Any], digest: str) -> str:
    """What ``Place.key`` gives, without the place: it is made for each write."""
    return f"{_scope(resource)}@{digest}"


def _keys(resource: Resource[Any, Any], digests: tuple[str, ...]) -> tuple[str, ...]:
    if not digests:
        return ()
    scope = _scope(resource)
    return tuple([f"{scope}@{digest}" for digest in digests])


REPOSITORY: Kind[RepositorySpec, RepositoryStatus] = Kind("ecr.repository", RepositorySpec, RepositoryStatus)
IMAGE: Kind[ImageSpec, ImageStatus] = Kind(
    "ecr.image",
    ImageSpec,
    ImageStatus,
    {
        "repository": _scope,
        "blob": lambda r: _keys(r, r.spec.blobs),
        "child": lambda r: _keys(r, r.spec.children),
        "subject": lambda r: _key(r, r.spec.subject) if r.spec.subject else None,
    },
)
TAG: Kind[TagSpec, NoStatus] = Kind(
    "ecr.tag", TagSpec, NoStatus, {"repository": _scope, "image": lambda r: _key(r, r.spec.digest)}
)
LAYER: Kind[LayerSpec, NoStatus] = Kind(
    "ecr.layer", LayerSpec, NoStatus, {"repository": _scope, "digest": lambda r: r.spec.digest}
)
REGISTRY: Kind[RegistrySpec, NoStatus] = Kind("ecr.registry", RegistrySpec, NoStatus)
ADDRESS: Kind[AddressSpec, NoStatus] = Kind("ecr.address", AddressSpec, NoStatus, {"address": lambda r: r.spec.address})
KINDS = (REPOSITORY, IMAGE, TAG, LAYER, REGISTRY, ADDRESS)
