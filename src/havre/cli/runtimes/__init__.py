"""``havre lambda build-runtime``: root file systems of Lambda's managed runtimes, from Debian packages and AWS's own runtime
interface clients, for machines that cannot pull AWS's base images.

The rule of this package: a runtime appears whole, by one rename, or not at all; one that is there already is not made again.
"""
