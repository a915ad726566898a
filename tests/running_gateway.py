"""A gateway that answers on a loopback port, in a thread of its own, on a store in memory: boto3 is synchronous."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from havre.apps.http.listeners import Listeners
from havre.control.operation import Operations, Service, Site
from havre.core.credentials import SessionTokens
from havre.gateway.app import Gateway
from havre.gateway.ports import Parts
from havre.gateway.throttle import Throttle
from havre.kernel.resource import Kind
from havre.kernel.world import World
from havre.services import cloudtrail, iam, sts
from havre.services.cloudtrail.trail import Trail
from havre.services.iam.directory import Directory
from havre.services.iam.root import RootKey
from havre.store.memory import MemoryJournal, MemoryStore
from havre.wire.answers import check_answer
from havre.wire.models import ModelSource

ACCOUNT, OTHER = "111122223333", "444455556666"
ROOT = RootKey(ACCOUNT, "AKIAROOTROOTROOTROOT", "root/secret")
OTHER_ROOT = RootKey(OTHER, "AKIAOTHEROTHEROTHERO", "other/secret")
SECRET = b"\x01" * 32
SESSION = boto3.session.Session()
MODELS = Path(tempfile.gettempdir()) / f"havre-test-models-{os.getuid()}"
"""Shared by runs: stripping botocore's models costs a second."""


def ecs_stub() -> Service:
    """A json service with a read, a change and a fault."""
    ops = Operations()

    @ops(
        "DescribeClusters", resources=lambda c, r: tuple(c.arn(f"cluster/{n}") for n in r.get("clusters", ["default"]))
    )
    async def describe(call: Any, request: Any) -> Any:
        return {
            "clusters": [{"clusterName": n, "status": "ACTIVE"} for n in request.get("clusters", ())],
            "failures": [],
        }

    @ops("CreateCluster", resources=lambda c, r: (c.arn(f"cluster/{r['clusterName']}"),))
    async def create(call: Any, request: Any) -> Any:
        return {
            "cluster": {
                "clusterName": request["clusterName"],
                "clusterArn": call.arn(f"cluster/{request['clusterName']}"),
            }
        }

    @ops("PutAttributes", data_event=True)
    async def write_within(call: Any, request: Any) -> Any:
        return {"attributes": request["attributes"]}

    @ops("ListClusters")
    async def broken(call: Any, request: Any) -> Any:
        raise RuntimeError("the secret cause")

    return Service("ecs", ops.all)


def code(call: Any, **arguments: Any) -> str:
    """The error code that a client method raises."""
    try:
        call(**arguments)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "no error"


class Running:
    def __init__(
        self,
        auth: str = "strict",
        throttle: dict[str, Any] | None = None,
        besides: Sequence[Service] = (),
        kinds: Sequence[Kind[Any, Any]] = (),
        **more: Any,
    ) -> None:
        """``besides`` are further services, ``kinds`` further kinds of resources that they write."""
        self.offset = 0.0
        self.world = World(lambda: time.time() + self.offset, Random(7))
        self.store = MemoryStore([*kinds, *(k for s in (iam.service(), *besides) for k in s.kinds)], self.world)
        self.journal = MemoryJournal()
        tokens = SessionTokens(SECRET)
        self.directory = Directory(self.store, [ROOT, OTHER_ROOT], tokens)
        own = (iam.service(), sts.service(tokens, self.directory), cloudtrail.service(), ecs_stub())
        services = {s.name: s for s in (*own, *besides)}
        self.gateway = Gateway(
            Parts(
                site=Site(auth=auth, account=ACCOUNT),
                world=self.world,
                store=self.store,
                journal=self.journal,
                models=ModelSource(MODELS),
                services=services,
                identities=self.directory,
                policies=self.directory,
                trail=Trail(self.journal, self.world.now),
                throttle=Throttle(self.world.now, **(throttle or {})),
                **more,
            )
        )
        self.loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        assert started.wait(60)

    def _run(self, started: threading.Event) -> None:
        async def serve() -> None:
            sock = socket.create_server(("127.0.0.1", 0))
            self.port = sock.getsockname()[1]
            self.listeners = Listeners(self.gateway.asgi)
            await self.listeners.adopt(sock, ("127.0.0.1", self.port))
            started.set()

        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(serve())
        self.loop.run_forever()

    def wait(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(120)

    def hold_answers(self, *services: str) -> None:
        """An answer with members that the model does not have is a test's failure; of these services, or of all."""
        gateway: Any = self.gateway
        dispatch = gateway._dispatch

        async def checked(context: Any) -> None:
            await dispatch(context)
            if not services or context.service in services:
                check_answer(context.model, context.name, context.answer)

        gateway._dispatch = checked

    def close(self) -> None:
        self.wait(self.listeners.close(0.5))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(60)
        self.loop.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def events(self, name: str, key: Any = ROOT, region: str = "us-east-1") -> list[dict[str, Any]]:
        """CloudTrail's records of an operation, newest first."""
        self.wait(self.gateway.close())
        lookup = [{"AttributeKey": "EventName", "AttributeValue": name}]
        found = self.client("cloudtrail", key, region).lookup_events(LookupAttributes=lookup)["Events"]
        return [json.loads(e["CloudTrailEvent"]) for e in found]

    def client(self, service: str, key: Any = ROOT, region: str = "us-east-1", **config: Any) -> Any:
        """``key``: a RootKey, an AccessKey or a Credentials answer."""
        if isinstance(key, RootKey):
            given = {"aws_access_key_id": key.access_key, "aws_secret_access_key": key.secret}
        else:
            given = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
            if "SessionToken" in key:
                given["aws_session_token"] = key["SessionToken"]
        made = Config(retries={"max_attempts": 0}, **config)
        return SESSION.client(service, region_name=region, endpoint_url=self.url, config=made, **given)
