"""ECR's errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from havre.control.images import Place, Refusal, Why
from havre.kernel.errors import ApiError

_CODES = {
    Why.NO_REPOSITORY: "RepositoryNotFoundException",
    Why.NOT_EMPTY: "RepositoryNotEmptyException",
    Why.NO_IMAGE: "ImageNotFoundException",
    Why.NO_LAYERS: "LayersNotFoundException",
    Why.NO_IMAGES: "ReferencedImagesNotFoundException",
    Why.WRONG_SIZE: "InvalidParameterException",
    Why.TAG_TAKEN: "ImageTagAlreadyExistsException",
    Why.IN_USE: "InvalidParameterException",
    Why.TOO_MANY: "LimitExceededException",
    Why.NO_UPLOAD: "UploadNotFoundException",
    Why.NOT_NEXT: "InvalidLayerPartException",
    Why.WRONG_DIGEST: "InvalidLayerException",
    Why.EMPTY: "EmptyUploadException",
}


@contextmanager
def modelled(place: Place | None = None, upload: str = "") -> Iterator[None]:
    """Refusals become ECR's errors."""
    try:
        yield
    except Refusal as refusal:
        fields: dict[str, object] = {}
        if refusal.why is Why.NOT_NEXT and place is not None:
            fields = {
                "registryId": place.account,
                "repositoryName": place.repository,
                "uploadId": upload,
                "lastValidByteReceived": max(refusal.expected - 1, 0),
            }
        raise ApiError(_CODES[refusal.why], refusal.message, None, fields) from None


def invalid(member: str, constraint: str) -> ApiError:
    return ApiError(
        "InvalidParameterException", f"Invalid parameter at '{member}' failed to satisfy constraint: '{constraint}'"
    )


def image_not_found(place: Place, digest: str | None, tag: str | None) -> ApiError:
    def shown(value: str | None) -> str:
        return f"'{value}'" if value else "'null'"

    return ApiError(
        "ImageNotFoundException",
        f"The image with imageId {{imageDigest:{shown(digest)}, imageTag:{shown(tag)}}} does not exist within the "
        f"repository with name '{place.repository}' in the registry with id '{place.account}'",
    )


def missing(code: str, what: str, place: Place) -> ApiError:
    """``what`` does not exist for the repository (or, if it has no name, in the registry)."""
    where = f"for the repository with name '{place.repository}' " if place.repository else ""
    return ApiError(code, f"{what} does not exist {where}in the registry with id '{place.account}'")
