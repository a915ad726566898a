"""Decisions, pure: placement, deployment, lifecycle, autoscaling, policy, network, delivery, metering, retention.

The rule of this package: data in, data out. No clock, no chance, no I/O, no logging, not even indirectly.
"""
