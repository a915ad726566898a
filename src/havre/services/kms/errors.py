"""KMS's errors, in its words."""

from __future__ import annotations

from havre.kernel.errors import ApiError, not_built


def invalid(message: str) -> ApiError:
    return ApiError("ValidationException", message)


def not_found(message: str) -> ApiError:
    return ApiError("NotFoundException", message)


def no_key(arn: str) -> ApiError:
    return not_found(f"Key '{arn}' does not exist")


def no_alias(arn: str) -> ApiError:
    return not_found(f"Alias {arn} is not found.")


def disabled(arn: str) -> ApiError:
    return ApiError("DisabledException", f"{arn} is disabled.")


def wrong_state(arn: str, state: str) -> ApiError:
    return ApiError("KMSInvalidStateException", f"{arn} is {state}.")


def wrong_usage(arn: str, usage: str, operation: str) -> ApiError:
    return ApiError("InvalidKeyUsageException", f"{arn} key usage is {usage} which is not valid for {operation}.")


def incompatible(algorithm: str, spec: str) -> ApiError:
    return ApiError("InvalidKeyUsageException", f"Algorithm {algorithm} is incompatible with key spec {spec}.")


def unsupported(message: str) -> ApiError:
    return ApiError("UnsupportedOperationException", message)


def bad_ciphertext() -> ApiError:
    return ApiError("InvalidCiphertextException", "")


def incorrect_key() -> ApiError:
    return ApiError(
        "IncorrectKeyException", "The key ID in the request does not identify a CMK that can perform this operation."
    )


def out_of_reach() -> ApiError:
    """Told alike whether there is such a key or not."""
    return ApiError(
        "AccessDeniedException",
        "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are "
        "not allowed to access.",
    )


def not_authorized(who: str, action: str, arn: str) -> ApiError:
    """Of what nobody may do: AWS managed keys are AWS's."""
    return ApiError("AccessDeniedException", f"User: {who} is not authorized to perform: {action} on resource: {arn}")


def dry_run() -> ApiError:
    return ApiError("DryRunOperationException", "The request would have succeeded, but the DryRun option is set.")


def absent(what: str) -> ApiError:
    return not_built("kms", what)
