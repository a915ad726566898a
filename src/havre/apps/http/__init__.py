"""An HTTP/1.1 server for ASGI applications: httptools parses, an asyncio protocol does the rest.

The promise: HTTP/1.1 with keep-alive, pipelining, chunked bodies both ways, Expect: 100-continue, back-pressure both
ways, bounded heads and idle connections that go; nothing else (no TLS, no HTTP/2, no WebSocket yet). Why it is our own:
docs/decisions/0007.
"""
