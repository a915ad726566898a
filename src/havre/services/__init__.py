"""One package per AWS service.

The rule of this package: a service never imports a service. It calls other services' operations through the client
that is handed to it, so that IAM decides and CloudTrail records that call too.
"""
