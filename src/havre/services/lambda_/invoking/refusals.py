"""Why a function is not invoked, in Lambda's words."""

from __future__ import annotations

from havre.core.environments import failures
from havre.core.invoking import payloads
from havre.kernel.errors import ApiError
from havre.kernel.function import Outcome
from havre.services.lambda_ import mounting, sealing
from havre.services.lambda_.errors import conflict, invalid
from havre.services.lambda_.resources import Readiness

RETRY_AFTER = "1"
"""Seconds that a throttled caller is asked to wait."""


def throttled(reason: str) -> ApiError:
    fields = {"Reason": reason, "Type": "User", "retryAfterSeconds": RETRY_AFTER}
    return ApiError("TooManyRequestsException", "Rate Exceeded.", fields=fields)


def recursive(arn: str) -> ApiError:
    return ApiError(
        "RecursiveInvocationException",
        f"Lambda has detected that the function {arn} is invoked in a recursive loop, and has stopped the invocation. To "
        "allow it, set the function's recursive loop detection to Allow.",
    )


TOO_LARGE = "RequestEntityTooLargeException"
"""The model has RequestTooLargeException; this is what clients are told, and look for."""


def too_large(operation: str) -> ApiError:
    return ApiError(
        TOO_LARGE,
        f"Request must be smaller than {payloads.SYNCHRONOUS} bytes for the {operation} operation",
        413,
    )


def event_too_large(size: int, limit: int = payloads.EVENT) -> ApiError:
    return ApiError(
        TOO_LARGE,
        f"{size} byte payload is too large for the Event invocation type (limit {limit} bytes)",
        413,
    )


def not_json(why: str) -> ApiError:
    words = f"Could not parse request body into json: Could not parse payload into json: {why}"
    return ApiError("InvalidRequestContentException", words)


def bad_client_context() -> ApiError:
    return ApiError("InvalidRequestContentException", "Client context must be a valid Base64-encoded JSON object.")


def not_ready(status: Readiness, snap_start: bool) -> ApiError:
    """The function, or this version of it, has nothing that could be run."""
    if status.state == "Pending" and snap_start:
        return ApiError(
            "SnapStartNotReadyException",
            "Lambda is initializing your function. It will be ready to invoke once your function state becomes ACTIVE.",
        )
    return conflict(
        "The operation cannot be performed at this time. The function is currently in the following state: "
        f"{status.state}"
    )


def not_restored(outcome: Outcome) -> ApiError | None:
    """An environment that was to be restored from a snapshot could not be; None: that is not what has failed."""
    words = failures.RESTORE_WORDS.get(outcome.error)
    return None if words is None else ApiError(outcome.error, words, fields={"Type": "User"})


def unpublished(published: bool) -> ApiError:
    """``$LATEST`` of a function on a capacity provider; ``published``: it has a ``$LATEST.PUBLISHED``."""
    if published:
        return invalid(
            "Functions configured with capacity provider configuration can't be invoked with $LATEST qualifier. To invoke "
            "this function, specify a published version qualifier or $LATEST.PUBLISHED."
        )
    return ApiError(
        "NoPublishedVersionException",
        "The function can't be invoked because no published version exists. For functions with capacity provider "
        "configuration, either publish a version to $LATEST.PUBLISHED, or specify a published version qualifier.",
    )


def no_tail() -> ApiError:
    return invalid("Tail logs are not supported for functions configured with capacity provider")


def cannot_run(reason: str) -> ApiError:
    """What the nodes say of a function that they cannot run; those of KMS and EFS have codes of their own."""
    code, _, rest = reason.partition(": ")
    if code in sealing.CODES or code in mounting.CODES:
        return ApiError(code, rest)
    return conflict(f"The function cannot be run: {reason}")


def no_room(reason: str) -> ApiError:
    return ApiError("ServiceException", f"Lambda was unable to run the function: {reason}")


def tenant_wanted() -> ApiError:
    return invalid(
        "The invoked function is enabled with tenancy configuration. Add a valid tenant ID in your request and try again."
    )


def tenant_unwanted() -> ApiError:
    return invalid(
        "The invoked function is not enabled with tenancy configuration. "
        "Remove the tenant ID from your request and try again."
    )


def no_durable_streams() -> ApiError:
    return invalid("Response streaming is not supported for durable functions.")


def durable_unqualified() -> ApiError:
    return invalid("You cannot invoke a durable function using an unqualified ARN.")


def durable_too_long() -> ApiError:
    return invalid(
        "You cannot synchronously invoke a durable function with an executionTimeout greater than 15 minutes."
    )


def already_started(name: str) -> ApiError:
    return ApiError(
        "DurableExecutionAlreadyStartedException",
        f"The durable execution {name} has already been started with another payload.",
    )


def not_durable() -> ApiError:
    return invalid("DurableExecutionName is for durable functions only.")
