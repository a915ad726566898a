"""The error codes of the distribution specification, and which refusal is which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from havre.control.images import Refusal, Why


class OciError(Exception):
    """What a client sees: ``{"errors": [{"code", "message", "detail"}]}``."""

    def __init__(
        self, status: int, code: str, message: str, detail: Any = None, headers: Mapping[bytes, bytes] | None = None
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.detail = detail
        self.headers = dict(headers or {})


_CODES = {
    Why.NO_REPOSITORY: (404, "NAME_UNKNOWN"),
    Why.NOT_EMPTY: (405, "UNSUPPORTED"),
    Why.NO_IMAGE: (404, "MANIFEST_UNKNOWN"),
    Why.NO_LAYERS: (404, "MANIFEST_BLOB_UNKNOWN"),
    Why.NO_IMAGES: (404, "MANIFEST_BLOB_UNKNOWN"),
    Why.WRONG_SIZE: (400, "MANIFEST_INVALID"),
    Why.TAG_TAKEN: (400, "TAG_INVALID"),
    Why.IN_USE: (405, "UNSUPPORTED"),
    Why.TOO_MANY: (403, "DENIED"),
    Why.NO_UPLOAD: (404, "BLOB_UPLOAD_UNKNOWN"),
    Why.NOT_NEXT: (416, "BLOB_UPLOAD_INVALID"),
    Why.WRONG_DIGEST: (400, "DIGEST_INVALID"),
    Why.EMPTY: (400, "BLOB_UPLOAD_INVALID"),
}


def of_refusal(refusal: Refusal) -> OciError:
    status, code = _CODES[refusal.why]
    detail = [{"digest": n} for n in refusal.names] if status == 404 and refusal.names else None
    return OciError(status, code, refusal.message, detail)


def blob_unknown(digest: str) -> OciError:
    return OciError(404, "BLOB_UNKNOWN", "blob unknown to registry", {"digest": digest})


def digest_invalid(text: str) -> OciError:
    return OciError(400, "DIGEST_INVALID", "invalid checksum digest format", {"digest": text[:200]})


def unsupported(method: str) -> OciError:
    return OciError(405, "UNSUPPORTED", f"The operation is unsupported: {method[:20]}")
