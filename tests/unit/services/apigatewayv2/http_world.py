"""HTTP APIs by boto3 and by plain HTTP, in front of functions that the test plays."""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from typing import Any

from tests.running_gateway import ACCOUNT, Running
from tests.unit.services.metrics_fakes import CountedMetrics

from havre.apps.signed import SignedGate
from havre.control import nodes
from havre.control.certificates import records
from havre.control.deps import ReconcilerDeps
from havre.control.operation import Operations, Service
from havre.control.patient import patient
from havre.kernel.errors import ApiError
from havre.services import apigatewayv2, logs
from havre.services.apigatewayv2.serving.app import HttpApis
from havre.services.apigatewayv2.serving.integrations import Doors

FUNCTION = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:hello"
POLICY = {
    "Version": "2012-10-17",
    "Statement": {
        "Effect": "Allow",
        "Principal": {"Service": "apigateway.amazonaws.com"},
        "Action": "lambda:InvokeFunction",
        "Resource": "*",
        "Condition": {"ArnLike": {"AWS:SourceArn": f"arn:aws:execute-api:us-east-1:{ACCOUNT}:*"}},
    },
}


class World:
    """``answers``: function → what it answers to an event, or raises. ``events``: what they were given."""

    def __init__(self, besides: Sequence[Service] = (), doors: Doors | None = None) -> None:
        self.answers: dict[str, Any] = {FUNCTION: lambda event: {"statusCode": 200, "body": "hello"}}
        self.events: list[Any] = []
        self.metrics = CountedMetrics()
        self.policy: Any = POLICY
        ops = Operations()

        @ops("Invoke", action="lambda:InvokeFunction", resources=lambda call, request: (request["FunctionName"],))
        async def invoke(call: Any, request: Any) -> Any:
            self.events.append(json.loads(request["Payload"]))
            answer = self.answers[request["FunctionName"]](self.events[-1])
            if isinstance(answer, ApiError):
                raise answer
            failed = answer == "failed"
            told = {"errorMessage": "Unauthorized"} if failed else answer
            return {
                "StatusCode": 200,
                "Payload": json.dumps(told).encode(),
                **({"FunctionError": "Unhandled"} if failed else {}),
            }

        self.running = Running(
            besides=[Service("lambda", ops.all), apigatewayv2.service(), logs.service(), *besides],
            resource_policies={"lambda": lambda store, arn: json.dumps(self.policy) if self.policy else None},
            hosts={"execute-api": self._serve, "proxy": self._serve_domain},
            kinds=(*records.KINDS, *nodes.KINDS),
        )
        gateway = self.running.gateway
        parts = gateway.parts
        self.deps = ReconcilerDeps(
            parts.store,
            parts.journal,
            parts.world,
            parts.site,
            lambda account, region, service, source="": patient(gateway.as_service(service, account, region, source)),
            self._by_role,
            self.metrics,
        )
        self.apis = HttpApis(self.deps, SignedGate(gateway, "execute-api"), doors)
        self.api = self.running.client("apigatewayv2")

    def _by_role(self, account: str, region: str, keys: Any, trace: str = "") -> Any:
        known = self.running.directory.credential(keys["AccessKeyId"], keys["SessionToken"])
        assert known is not None
        return patient(self.running.gateway.local(known.principal, account, region, trace))

    def role(self, *actions: str) -> str:
        """That API Gateway may assume, and that may do this."""
        iam = self.running.client("iam")
        trust = {"Effect": "Allow", "Principal": {"Service": "apigateway.amazonaws.com"}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        made = iam.create_role(RoleName="behind", AssumeRolePolicyDocument=document)
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_role_policy(RoleName="behind", PolicyName="p", PolicyDocument=document)
        return str(made["Role"]["Arn"])

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        await self.apis.asgi(scope, receive, send)

    async def _serve_domain(self, scope: Any, receive: Any, send: Any) -> None:
        """As the proxy that has a domain name's certificate asks."""
        await self.apis.domain(scope, receive, send)

    def make(self, **more: Any) -> str:
        return str(self.api.create_api(Name="web", ProtocolType="HTTP", **more)["ApiId"])

    def integrate(
        self, id: str, key: str = "$default", function: str = FUNCTION, version: str = "2.0", **more: Any
    ) -> str:
        made = self.api.create_integration(
            ApiId=id, IntegrationType="AWS_PROXY", IntegrationUri=function, PayloadFormatVersion=version
        )
        target = f"integrations/{made['IntegrationId']}"
        return str(self.api.create_route(ApiId=id, RouteKey=key, Target=target, **more)["RouteId"])

    def ask(self, id: str, path: str = "/", method: str = "GET", body: Any = None, **headers: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.running.port, timeout=30)
        host = f"{id}.execute-api.us-east-1.localhost:{self.running.port}"
        connection.request(method, path, body, {"Host": host, **{k.replace("_", "-"): v for k, v in headers.items()}})
        answer = connection.getresponse()
        told = answer.read()
        connection.close()
        return answer.status, told.decode(), {k.lower(): v for k, v in answer.getheaders()}
