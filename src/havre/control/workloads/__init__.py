"""The node's agent: what is assigned to this machine is made to run here, one idempotent step at a time.

The rule of this package: it reaches containers, networks and balancers through engines/ports.py, decides in core/, and
remembers nothing that cannot be found again from labels, names and the server's copy of the last report. It takes down
only what its own server's snapshot does not have, and never without one.
"""
