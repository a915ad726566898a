"""Servers that speak something other than AWS: the OCI registry, the task metadata endpoint.

The rule of this package: a data plane gets what it needs handed in; it never imports a service or another data plane.
"""
