"""HTTP APIs as OpenAPI 3.0 with API Gateway's extensions. Pure."""
