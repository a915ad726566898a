"""Amazon API Gateway v2: HTTP APIs in front of functions and servers.

The promise: routes are matched as AWS matches them, a stage serves its deployment and nothing half made, and a function is
called only where its policy lets the API in. Limits and error texts are AWS's.

Left out, and refused by name: WebSocket APIs, VPC links to network load balancers and Cloud Map, integrations with
AppConfig and Step Functions, domain names with mutual TLS or routing rules, models, portals.
"""

from __future__ import annotations

from typing import Any

from havre.control.deps import ReconcilerDeps
from havre.control.operation import Service, merge
from havre.control.reconciler import Reconciler

__all__ = ["reconcilers", "service"]

PARTIAL = {
    "CreateApi": "HTTP APIs only; the endpoint is http://<id>.execute-api.<region>.localhost:<port>",
    "CreateDomainName": "answers at port 443 of 127.0.0.1, which this program has to be allowed to open; in no VPC",
    "CreateIntegration": "AWS_PROXY with a function, SQS, EventBridge or Kinesis; HTTP_PROXY over the internet, or by a VPC "
    "link to an application load balancer",
    "CreateVpcLink": "is never INACTIVE",
    "CreateAuthorizer.JwtConfiguration": "PS* and ES* are taken as well; issuers of this machine may speak HTTP",
    "ImportApi": "OpenAPI 3.0 without YAML's aliases; Basepath ignore and prepend",
    "CreateStage.AccessLogSettings": "$context.awsEndpointRequestId is not told, nor what is not there (Cognito)",
}


def service() -> Service:
    from havre.services.apigatewayv2.operations import apis, domains, links, openapi, parts, stages
    from havre.services.apigatewayv2.resources import KINDS

    built = merge(apis.ops, openapi.ops, parts.ops, stages.ops, domains.ops, links.ops)
    return Service("apigatewayv2", built, KINDS, "apigateway", PARTIAL)


def reconcilers(deps: ReconcilerDeps) -> list[Reconciler[Any]]:
    from havre.services.apigatewayv2.linking import Linking
    from havre.services.apigatewayv2.presenting import Presenting

    return [Presenting(deps), Linking(deps)]
