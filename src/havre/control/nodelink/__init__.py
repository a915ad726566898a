"""The link between the server and a node: assignments out as a stream, status, log lines and questions back.

The rule of this package: the node dials; whatever was sent and not acknowledged is sent again after a reconnection; an
acknowledgement means that it is durable. After each connection the server first tells everything (the snapshot), then
changes; so neither side needs to remember what the other one knows.
"""
