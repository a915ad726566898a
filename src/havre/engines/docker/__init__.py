"""Docker Engine behind the ContainerEngine port, over its HTTP API; and the intake of its log lines.

The rule of this package: everything that it makes carries the label ``havre.instance`` and a name made of instance,
workload and container, so that a second call finds what the first one made and a restart finds everything. It speaks to
the socket itself: no client library, no ``docker`` program.
"""
