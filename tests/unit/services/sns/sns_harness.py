"""A gateway with SNS, stubs of queues and functions, and a server that subscribes."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from botocore.exceptions import ClientError
from tests.running_gateway import ROOT
from tests.running_targets import Targets, function_arn, queue_arn

from havre.control.operation import Service
from havre.services import sns
from havre.services.sns import signing
from havre.services.sns.resources import DELIVERY, HTTP

__all__ = ["Server", "Sns", "function_arn", "queue_arn", "refusal"]


class Sns(Targets):
    def __init__(self, besides: Sequence[Service] = (), policies: Mapping[str, Any] | None = None, **more: Any) -> None:
        """``policies``: of resources of the services ``besides``."""

        async def certificate(scope: Any, receive: Any, send: Any) -> None:
            await signing.serve(self.running.store, scope, send)

        super().__init__(
            [sns.service(), *besides],
            sns.reconcilers,
            resource_policies={"sns": sns.resource_policy, **(policies or {})},
            internal={signing.PATH: certificate},
            **more,
        )
        self.client = self.running.client("sns", parameter_validation=False)

    def topic(self, name: str = "news", **attributes: str) -> str:
        return str(self.client.create_topic(Name=name, Attributes=attributes)["TopicArn"])

    def subscribe(self, topic: str, protocol: str, endpoint: str, **attributes: str) -> str:
        given = {k: v if isinstance(v, str) else json.dumps(v) for k, v in attributes.items()}
        found = self.client.subscribe(
            TopicArn=topic, Protocol=protocol, Endpoint=endpoint, Attributes=given, ReturnSubscriptionArn=True
        )
        return str(found["SubscriptionArn"])

    def quiet(self) -> None:
        self.settled(DELIVERY, HTTP)


class Server:
    """Takes note of what is posted. ``statuses``: what to answer with, 200 when there is none left."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], str]] = []
        self.statuses: list[int] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                owner.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(owner.statuses.pop(0) if owner.statuses else 200)
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/hook"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


def refusal(call: Any, **arguments: Any) -> tuple[str, str]:
    """Code and message of the error that a client method raises."""
    try:
        call(**arguments)
    except ClientError as error:
        return str(error.response["Error"]["Code"]), str(error.response["Error"]["Message"])
    return "", ""


def as_user(sns: Sns, name: str, statement: dict[str, Any], key: Any = ROOT) -> Any:
    """A client of a user with this policy."""
    iam = sns.running.client("iam", key)
    iam.create_user(UserName=name)
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)
    return sns.running.client("sns", iam.create_access_key(UserName=name)["AccessKey"])
