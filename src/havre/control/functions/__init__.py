"""Functions on nodes: the port through which services have them run, the channel to the nodes, the nodes' side of it.

The rule of this package: an invocation that was handed over runs at most once here. Whoever wants it to run again (the
queue of asynchronous invocations, an event source) asks again.
"""
