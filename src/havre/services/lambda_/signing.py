"""Code signing: nothing here can be signed by AWS Signer, so a configuration that enforces lets no code in."""

from __future__ import annotations

from havre.kernel.errors import ApiError
from havre.services.lambda_.resources import CODE_SIGNING, CodeSigningR
from havre.store.ports import Reader


def no_config(arn: str) -> ApiError:
    return ApiError(
        "CodeSigningConfigNotFoundException",
        f"The code signing configuration cannot be found. Check that the provided configuration is not deleted: {arn}.",
    )


def find(reader: Reader, arn: str) -> CodeSigningR | None:
    parts = arn.split(":")
    return reader.get(CODE_SIGNING, parts[4], parts[3], parts[-1])


def check_code(reader: Reader, config: str, function: str) -> None:
    """``config`` is the ARN of the function's configuration, "" for none. Raises ApiError."""
    if not config:
        return
    found = find(reader, config)
    if found is None:
        raise no_config(config)
    if found.spec.policy == "Enforce":
        raise ApiError(
            "CodeVerificationFailedException",
            "Lambda cannot deploy the function. The function or layer might be signed using a signature that the client is "
            f"not configured to accept. Check the provided signature for {function}.",
        )
