"""The ids in the URLs that containers are given. Pure: the same after a restart, and nobody can guess them."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from uuid import UUID

from havre.kernel.workload import Workload


class Ids:
    def __init__(self, secret: bytes) -> None:
        self._key = hmac.digest(secret, b"task-endpoints", "sha256")

    def container(self, workload: str, name: str) -> str:
        return self._uuid("container", workload, name)

    def credentials(self, workload: str) -> str:
        return self._uuid("credentials", workload)

    def container_of(self, id: str, workloads: Iterable[Workload]) -> tuple[Workload, str] | None:
        """The workload and container that an id stands for."""
        for workload in workloads:
            for container in workload.containers:
                if hmac.compare_digest(self.container(workload.id, container.name).encode(), id.encode()):
                    return workload, container.name
        return None

    def credentials_of(self, id: str, workloads: Iterable[Workload]) -> Workload | None:
        for workload in workloads:
            if hmac.compare_digest(self.credentials(workload.id).encode(), id.encode()):
                return workload
        return None

    def _uuid(self, *words: str) -> str:
        return str(UUID(bytes=hmac.digest(self._key, "\n".join(words).encode(), "sha256")[:16], version=4))
