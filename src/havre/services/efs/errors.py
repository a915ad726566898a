"""EFS's errors: each tells its code as a member, too."""

from __future__ import annotations

from havre.kernel.errors import ApiError, not_built


def error(code: str, message: str, status: int | None = None, **fields: str) -> ApiError:
    return ApiError(code, message, status, {"ErrorCode": code, **fields})


def bad(message: str) -> ApiError:
    return error("BadRequest", message)


def no_file_system(id: str) -> ApiError:
    return error("FileSystemNotFound", f"File system '{id}' does not exist.")


def no_mount_target(id: str) -> ApiError:
    return error("MountTargetNotFound", f"Mount target '{id}' does not exist.")


def no_access_point(id: str) -> ApiError:
    return error("AccessPointNotFound", f"Access Point {id} does not exist.")


def wrong_state(id: str, state: str) -> ApiError:
    return error(
        "IncorrectFileSystemLifeCycleState",
        f"None of the operations can be performed on file system '{id}' in the life cycle state '{state}'.",
    )


def absent(what: str) -> ApiError:
    return not_built("efs", what)
