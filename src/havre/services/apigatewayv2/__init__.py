"""Amazon API Gateway v2: HTTP APIs in front of functions and servers.

The promise: routes are matched as AWS matches them, a stage serves its deployment and nothing half made, and a function is
called only where its policy lets the API in. Limits and error texts are AWS's.

Left out, and refused by name: WebSocket APIs, JWT and IAM authorization, VPC links, integrations with other services of AWS,
mapping of parameters, domain names, models, import and export, portals, access logs, metrics.
"""

from __future__ import annotations

from havre.control.operation import Service, merge

__all__ = ["service"]

PARTIAL = {
    "CreateApi": "HTTP APIs only; the endpoint is http://<id>.execute-api.<region>.localhost:<port>",
    "CreateRoute": "authorization NONE and CUSTOM (a Lambda authorizer)",
    "CreateIntegration": "AWS_PROXY with a function, and HTTP_PROXY over the internet",
    "CreateAuthorizer": "REQUEST only",
}


def service() -> Service:
    from havre.services.apigatewayv2.operations import apis, parts, stages
    from havre.services.apigatewayv2.resources import KINDS

    return Service("apigatewayv2", merge(apis.ops, parts.ops, stages.ops), KINDS, "apigateway", PARTIAL)
