"""Amazon API Gateway v2: HTTP APIs in front of functions and servers.

The promise: routes are matched as AWS matches them, a stage serves its deployment and nothing half made, and a function is
called only where its policy lets the API in. Limits and error texts are AWS's.

Left out, and refused by name: WebSocket APIs, VPC links, integrations with other services of AWS, mapping of parameters,
domain names, models, import and export, portals, metrics.
"""

from __future__ import annotations

from havre.control.operation import Service, merge

__all__ = ["service"]

PARTIAL = {
    "CreateApi": "HTTP APIs only; the endpoint is http://<id>.execute-api.<region>.localhost:<port>",
    "CreateIntegration": "AWS_PROXY with a function, and HTTP_PROXY over the internet",
    "CreateAuthorizer.JwtConfiguration": "PS* and ES* are taken as well; issuers of this machine may speak HTTP",
    "CreateStage.AccessLogSettings": "$context.awsEndpointRequestId is not told, nor what is not there (Cognito)",
}


def service() -> Service:
    from havre.services.apigatewayv2.operations import apis, parts, stages
    from havre.services.apigatewayv2.resources import KINDS

    return Service("apigatewayv2", merge(apis.ops, parts.ops, stages.ops), KINDS, "apigateway", PARTIAL)
