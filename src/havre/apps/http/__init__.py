"""An HTTP server for ASGI applications: httptools parses, an asyncio protocol does the rest.

The promise: HTTP/1.1 with keep-alive, pipelining, chunked bodies both ways, Expect: 100-continue, back-pressure both
ways, bounded heads and idle connections that go; HTTPS on the same port; HTTP/2 for clients that begin with it.
No WebSocket yet. Why it is our own: docs/decisions/0007.
"""
