"""KMS behind a real gateway, for boto3."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from botocore.exceptions import ClientError
from tests.running_gateway import ACCOUNT, OTHER, ROOT, Running

from havre.control.deps import ReconcilerDeps
from havre.control.operation import Site
from havre.control.runner import Runner
from havre.services import kms
from havre.services.kms.resources import KEY

DAY = 86400.0
__all__ = ["ACCOUNT", "DAY", "OTHER", "ROOT", "Kms", "refusal"]


class Kms:
    def __init__(self, auth: str = "strict") -> None:
        """With ``open`` the clock can be set: nobody looks at signatures."""
        self.vault = kms.Vault(b"\x07" * 32)
        service = kms.service(self.vault)
        self.running = Running(auth, besides=(service,), resource_policies={"kms": kms.resource_policy})
        self.root = self.running.client("kms")
        self.running.hold_answers("kms")
        self._users = 0
        store, world = self.running.store, self.running.world
        deps = ReconcilerDeps(store, self.running.journal, world, Site(), None)  # type: ignore[arg-type]
        self.keeping = kms.reconcilers(deps, self.vault)
        self.runner = Runner(self.keeping, store, world)
        self._task = asyncio.run_coroutine_threadsafe(self.runner.run(), self.running.loop)

    def close(self) -> None:
        self._task.cancel()
        self.running.close()

    def key(self, **given: Any) -> str:
        arn: str = self.root.create_key(**given)["KeyMetadata"]["Arn"]
        return arn

    def user(self, *statements: dict[str, Any]) -> tuple[Any, str]:
        """A client of KMS for a new user with these statements, and the user's ARN."""
        self._users += 1
        name = f"user-{self._users}"
        iam = self.running.client("iam")
        arn = iam.create_user(UserName=name)["User"]["Arn"]
        if statements:
            document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
            iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return self.running.client("kms", key), arn

    def tick(self) -> None:
        """Let the reconciler look at every key."""
        for found in self.running.store.list(KEY):
            self.running.loop.call_soon_threadsafe(self.runner.wake, "kms.key", found.key)


def allow(*actions: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": "*", **more}


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def refusal(call: Any, **arguments: Any) -> tuple[str, str]:
    """Code and message of the error that a client method raises."""
    try:
        call(**arguments)
    except ClientError as error:
        told = error.response["Error"]
        return str(told["Code"]), str(told.get("Message") or error.response.get("message") or "")
    return "", ""
