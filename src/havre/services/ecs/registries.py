"""Credentials for images that lie in this installation's registry, with the permissions of the execution role."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

from havre.control.deps import ReconcilerDeps
from havre.control.images import REPOSITORY
from havre.control.operation import Aws
from havre.kernel.errors import ApiError
from havre.kernel.workload import Registry
from havre.services.ecs.life import INITIALIZATION
from havre.services.ecs.queries import TaskRecord
from havre.services.ecs.rules.task_definition import is_ecr
from havre.services.ecs.workload import role, unassumable

PRINCIPAL = "ecs-tasks.amazonaws.com"
FRESH = 300.0
"""Seconds for which a token is used again: so much later at most does a changed policy show."""
_AMAZON = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.[a-z0-9.-]+/(.*)", re.DOTALL)
Credentials = tuple[str, str, str]
"""Endpoint (host:port), user name, password."""


class Registries:
    """Keeps tokens, so that fifty tasks of one service ask once."""

    def __init__(self, deps: ReconcilerDeps) -> None:
        self._deps = deps
        self._tokens: dict[tuple[str, str, str, str], tuple[float, Credentials]] = {}
        self._assumed: dict[tuple[str, str], float] = {}

    async def of(self, task: TaskRecord, body: Mapping[str, Any]) -> Mapping[str, tuple[str, Registry]] | str:
        """image → (image to pull, credentials), or the reason why the task cannot start."""
        task_role = role(body, task.spec.overrides, "taskRoleArn", task.meta.account)
        if task_role and not await self._assumable(task, task_role):
            return f"{unassumable(task_role)}."
        containers = [c for c in body["containerDefinitions"] if not c.get("repositoryCredentials")]
        images = {c["image"] for c in containers if is_ecr(c["image"])}
        found: dict[str, tuple[str, Registry]] = {}
        for image in sorted(images):
            try:
                found[image] = await self._credentials(task, body, image)
            except ApiError as error:
                return (
                    f"{INITIALIZATION}unable to retrieve ecr registry auth: service call has been retried 1 time(s): "
                    f"{error.code}: {error.message}"
                )
        return found

    async def _assumable(self, task: TaskRecord, arn: str) -> bool:
        now, m = self._deps.world.now(), task.meta
        if now < self._assumed.get((m.account, arn), now - FRESH) + FRESH:
            return True
        sts = self._deps.aws_for(m.account, m.region, PRINCIPAL)
        try:
            await sts("sts", "AssumeRole", {"RoleArn": arn, "RoleSessionName": m.name})
        except ApiError:
            return False
        if len(self._assumed) > 1000:
            self._assumed.clear()
        self._assumed[m.account, arn] = now
        return True

    async def _credentials(self, task: TaskRecord, body: Mapping[str, Any], image: str) -> tuple[str, Registry]:
        m = task.meta
        amazon = _AMAZON.fullmatch(image)
        registry, region = (amazon[1], amazon[2]) if amazon else ("", m.region)
        arn = role(body, task.spec.overrides, "executionRoleArn", m.account)
        endpoint, user, password = await self._token((m.account, region, registry, arn), m.name)
        if amazon:
            return f"{endpoint}/{amazon[3]}", Registry(endpoint, user, password)
        image = self._present(image, m.account, m.region)
        return image, Registry(image.partition("/")[0], user, password)

    def _present(self, image: str, account: str, region: str) -> str:
        """What lies in this installation's registry is found there though it is named by a port of before: definitions
        are not written anew when the port changes."""
        server, _, path = image.partition("/")
        address, _, port = server.rpartition(":")
        name, site = path.partition("@")[0].partition(":")[0], self._deps.site
        if not port.isdecimal() or int(port) not in site.former:
            return image
        if self._deps.store.get(REPOSITORY, account, region, name) is None:  # somebody else's, who has the port now
            return image
        return f"{address}:{site.port}/{path}"

    async def _token(self, key: tuple[str, str, str, str], task: str) -> Credentials:
        now = self._deps.world.now()
        kept = self._tokens.get(key)
        if kept is not None and now < kept[0] + FRESH:
            return kept[1]
        account, region, registry, arn = key
        aws = await self.caller(account, region, arn, task)
        request: dict[str, Any] = {"registryIds": [registry]} if registry and registry != account else {}
        answer = await aws("ecr", "GetAuthorizationToken", request)
        data = answer["authorizationData"][0]
        user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
        endpoint = data["proxyEndpoint"].split("://", 1)[-1].rstrip("/")
        if len(self._tokens) > 1000:
            self._tokens.clear()
        self._tokens[key] = (now, (endpoint, user, password))
        return endpoint, user, password

    async def caller(self, account: str, region: str, arn: str, task: str) -> Aws:
        """As the execution role; without one, as ECS itself (on EC2 the instance's role would do it)."""
        if not arn:
            return self._deps.aws_for(account, region, "ecs.amazonaws.com")
        sts = self._deps.aws_for(account, region, PRINCIPAL)
        answer = await sts("sts", "AssumeRole", {"RoleArn": arn, "RoleSessionName": task})
        if self._deps.aws_with is None:
            return sts
        return self._deps.aws_with(account, region, answer["Credentials"])
