"""ContainerEngine (see engines/ports.py) without a Docker Engine: crun or runc, conmon (docs/design/containers.md).

The rule of this package: what runs does not need this process. All that has to be known of a container is in its directory
before it happens (``records``) or told by files of its monitor, so that whoever comes next goes on from there.
"""
