"""Where requests go: to a function, or to a server somewhere else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import msgspec

from havre.control.asgi import plain
from havre.control.deps import ReconcilerDeps
from havre.control.nodes import BALANCER
from havre.control.operation import Aws
from havre.control.roles import Roles
from havre.core import parameter_mapping
from havre.core.http_events import Asked, BadAnswer, HttpAnswer, Place, answer_of, event_1, event_2, fronted
from havre.engines.web import Door, fetch, fetch_through
from havre.kernel.errors import ApiError, Permanent, Temporary
from havre.services.apigatewayv2 import links, rules
from havre.services.apigatewayv2.links import listener_parts
from havre.services.apigatewayv2.resources import LINK, Api
from havre.services.apigatewayv2.roles import PRINCIPAL
from havre.services.apigatewayv2.serving import aws_services
from havre.services.apigatewayv2.serving.story import Story, known

_HOP = (
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
)


def told(status: int, message: str) -> HttpAnswer:
    return plain(status, {"message": message})


UNAVAILABLE, FAULT = told(503, "Service Unavailable"), told(500, "Internal Server Error")
FORBIDDEN = (
    "The IAM role configured on the integration or API Gateway doesn't have permissions to call the integration. "
    "Check the permissions and try again."
)


def _failed(story: Story, answer: HttpAnswer, why: str) -> HttpAnswer:
    story.error, story.refusal = why, answer
    return answer


class Doors(NamedTuple):
    """The directory of the sockets by which VPC links are gone through; the file of the authority whose certificates load
    balancers have from ACM."""

    directory: Path
    authority: Path


class Integrations:
    """``doors``: None where there are no VPC links."""

    def __init__(self, deps: ReconcilerDeps, doors: Doors | None = None) -> None:
        self._deps = deps
        self._roles = Roles(deps, PRINCIPAL)
        self._doors = doors

    async def answer(self, story: Story, place: Place, integration: Mapping[str, Any]) -> HttpAnswer:
        """Fills in what of the story an integration is."""
        began = self._deps.world.now()
        try:
            async with asyncio.timeout(integration["TimeoutInMillis"] / 1000):
                answer = await self._asked(story, place, integration)
        except (TimeoutError, Temporary) as why:
            return _failed(story, UNAVAILABLE, str(why) or "The integration did not answer in time")
        except ApiError as error:
            story.integration_status = error.status or 400
            return _failed(story, FAULT, FORBIDDEN if error.code.startswith("AccessDenied") else error.message)
        except (Permanent, BadAnswer) as why:
            return _failed(story, FAULT, str(why))
        finally:
            story.latency = max(0.0, self._deps.world.now() - began)
        mapping = (integration.get("ResponseParameters") or {}).get(str(answer.status))
        return parameter_mapping.response(mapping, answer, known(story, place)) if mapping else answer

    async def _asked(self, story: Story, place: Place, integration: Mapping[str, Any]) -> HttpAnswer:
        if integration.get("IntegrationSubtype"):
            aws = await self._caller(story.api, integration, place)
            answer = await aws_services.call(aws, integration, known(story, place))
            story.integration_status = story.status = answer.status
            return answer
        mapping, asked, path = integration.get("RequestParameters"), story.asked, None
        if mapping:
            asked, path = parameter_mapping.request(mapping, asked, known(story, place))
        if integration["IntegrationType"] == "AWS_PROXY":
            asked = asked if path is None else msgspec.structs.replace(asked, path=path)
            return await self._function(story, asked, place, integration)
        return await self._server(story, (asked, path), place, integration)

    async def _function(self, story: Story, asked: Asked, place: Place, integration: Mapping[str, Any]) -> HttpAnswer:
        second = integration["PayloadFormatVersion"] == "2.0"
        world = self._deps.world
        trace = asked.header("x-amzn-trace-id") or f"Root=1-{int(world.now()):08x}-{world.hex(24)}"
        asked = fronted(asked, trace)
        event = event_2(asked, place) if second else event_1(asked, place)
        function = rules.function_arn(integration["IntegrationUri"])
        aws = await self._caller(story.api, integration, place)
        request = {"FunctionName": function, "Payload": json.dumps(event).encode()}
        answer = await aws("lambda", "Invoke", request)
        story.integration_status = 200
        if answer.get("FunctionError"):
            raise BadAnswer("The Lambda function failed")
        given = answer_of(bytes(answer.get("Payload") or b""), loose=second)
        story.status = given.status
        return given

    async def _caller(self, api: Api, integration: Mapping[str, Any], place: Place) -> Aws:
        """API Gateway for this route, which the function's policy has to let in; or the role of the integration."""
        account, region = api.meta.account, api.meta.region
        role = integration.get("CredentialsArn")
        if not role:
            method, _, path = place.route.partition(" ")
            route = f"{api.spec.id}/{place.stage}/{method}{path}" if path else f"{api.spec.id}/{place.stage}/$default"
            return self._deps.aws_for(account, region, PRINCIPAL, f"arn:aws:execute-api:{region}:{account}:{route}")
        return await self._roles.acting(role, account, region, "BackplaneAssumeRoleSession")

    async def _server(
        self, story: Story, mapped: tuple[Asked, str | None], place: Place, integration: Mapping[str, Any]
    ) -> HttpAnswer:
        """``mapped``: the request as it is to be, and the path that takes the place of the URL's."""
        (asked, path), url = mapped, integration["IntegrationUri"]
        way: Door | None = None
        if integration["ConnectionType"] == "VPC_LINK":
            url, way = self._private(story, asked, integration)
        for name, value in place.path_parameters.items():
            url = url.replace(f"{{{name}}}", value)
        if path is not None:
            url = urlunsplit(urlsplit(url)._replace(path=path))
        if asked.query:
            url += ("&" if "?" in url else "?") + asked.query
        method = integration["IntegrationMethod"]
        headers = [(name, value) for name, value in asked.headers if name not in _HOP and name != "host"]
        headers.append(("forwarded", f"for={asked.source_ip};host={asked.host};proto=http"))
        timeout = integration["TimeoutInMillis"] / 1000
        method = asked.method if method == "ANY" else method
        if way is None:
            found = await fetch(method, url, headers, asked.body, timeout)
        else:
            found = await fetch_through(way, method, url, headers, asked.body, timeout)
        story.integration_status = story.status = found.status
        kept = tuple((name, value) for name, value in found.headers if name not in _HOP)
        return HttpAnswer(found.status, kept, found.body)

    def _private(self, story: Story, asked: Asked, integration: Mapping[str, Any]) -> tuple[str, Door]:
        """A load balancer behind a VPC link gets the path as the API got it, stage included. Raises Temporary while there is
        no way to it."""
        meta, named = story.api.meta, listener_parts(integration["IntegrationUri"])
        store, id = self._deps.store, integration["ConnectionId"]
        link = store.get(LINK, meta.account, meta.region, id)
        balancer = store.get(BALANCER, meta.account, meta.region, named["balancer"].replace("/", "-"))
        if link is None or links.state(link) != "AVAILABLE" or balancer is None or self._doors is None:
            raise Temporary(f"The VPC link {id} does not lead to {integration['IntegrationUri']}")
        tls = integration.get("TlsConfig")
        host = balancer.spec.balancer.dns_name
        if asked.header("host") != story.asked.header("host"):
            host = asked.header("host") or host
        path = self._doors.directory / f"{links.door(id, named['listener'])}.sock"
        door = Door(str(path), (tls or {}).get("ServerNameToVerify", ""), str(self._doors.authority))
        return f"{'http' if tls is None else 'https'}://{host}{asked.path}", door
