"""What ECR's API and the registry's data plane share, as resources: repositories, images, tags, layers.

The rule of this package: the store says what exists. A blob's file counts only while some repository's layer record
names it, and every change of both front ends is one of the functions in ``changes``, inside one transaction: so they
are one truth. Refusals are raised as ``Refusal`` and each front end gives them its own code.
"""

from havre.control.images.kinds import (
    ADDRESS,
    IMAGE,
    KINDS,
    LAYER,
    REGISTRY,
    REPOSITORY,
    TAG,
    AddressSpec,
    Image,
    ImageSpec,
    ImageStatus,
    Layer,
    LayerSpec,
    Place,
    RegistrySpec,
    Repository,
    RepositorySpec,
    RepositoryStatus,
    Tag,
    TagSpec,
)
from havre.control.images.ports import Layers, Refusal, Why

__all__ = [
    "ADDRESS",
    "IMAGE",
    "KINDS",
    "LAYER",
    "REGISTRY",
    "REPOSITORY",
    "TAG",
    "AddressSpec",
    "Image",
    "ImageSpec",
    "ImageStatus",
    "Layer",
    "LayerSpec",
    "Layers",
    "Place",
    "Refusal",
    "RegistrySpec",
    "Repository",
    "RepositorySpec",
    "RepositoryStatus",
    "Tag",
    "TagSpec",
    "Why",
]
