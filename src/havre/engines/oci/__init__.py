"""Sandboxes for functions on this machine's kernel: namespaces, cgroups, layers of OCI images (docs/design/sandboxes.md).

The rule of this package: nothing that a sandbox is made of outlives it. Its mounts are its own namespace's, its disk has no
name, and when its first process ends, all of it ends; cgroups are found again by the instance's name.
"""
