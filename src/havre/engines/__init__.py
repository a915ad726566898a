"""Ports to what is outside, and their adapters: Docker, HAProxy, the host's network; each with a fake that can misbehave.

The rule of this package: ``ports.py`` is imported by everyone, adapters only by apps. An adapter is idempotent ("already
so" is success), re-attaches after a restart by label or name, and raises Temporary, Permanent or Gone.
"""
