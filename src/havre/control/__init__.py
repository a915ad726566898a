"""What runs operations and reconcilers: the shapes of both, queue, loop, act, supervisor.

The rule of this package: it knows no AWS service and no adapter; what it runs is handed to it.
"""
