"""What API Gateway's extensions of OpenAPI are called, and the members that they stand for."""

from __future__ import annotations

PREFIX = "x-amazon-apigateway-"
INTEGRATION, INTEGRATIONS = f"{PREFIX}integration", f"{PREFIX}integrations"
AUTHORIZER, AUTH_TYPE = f"{PREFIX}authorizer", f"{PREFIX}authtype"
ANY_METHOD, CORS, TAG_VALUE = f"{PREFIX}any-method", f"{PREFIX}cors", f"{PREFIX}tag-value"
ENDPOINT, VERSION = f"{PREFIX}endpoint-configuration", f"{PREFIX}importexport-version"
SIGV4, DEFAULT_PATH, IS_DEFAULT = "awsSigv4", "/$default", "isDefaultRoute"
TLS = "tlsConfig"
METHODS = ("get", "put", "post", "delete", "options", "head", "patch")
OF_INTEGRATIONS = {
    "httpMethod": "IntegrationMethod",
    "uri": "IntegrationUri",
    "integrationSubtype": "IntegrationSubtype",
    "payloadFormatVersion": "PayloadFormatVersion",
    "connectionType": "ConnectionType",
    "connectionId": "ConnectionId",
    "credentials": "CredentialsArn",
    "description": "Description",
    "timeoutInMillis": "TimeoutInMillis",
    "requestParameters": "RequestParameters",
    "responseParameters": "ResponseParameters",
}
OF_AUTHORIZERS = {
    "authorizerUri": "AuthorizerUri",
    "authorizerCredentials": "AuthorizerCredentialsArn",
    "authorizerPayloadFormatVersion": "AuthorizerPayloadFormatVersion",
    "authorizerResultTtlInSeconds": "AuthorizerResultTtlInSeconds",
    "enableSimpleResponses": "EnableSimpleResponses",
}
OF_CORS = {
    "allowOrigins": "AllowOrigins",
    "allowMethods": "AllowMethods",
    "allowHeaders": "AllowHeaders",
    "exposeHeaders": "ExposeHeaders",
    "maxAge": "MaxAge",
    "allowCredentials": "AllowCredentials",
}
