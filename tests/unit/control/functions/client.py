"""A runtime of few lines, for what AWS's client for Python does not do: it streams. argv[1] names a handler that gives
pieces; ``Trailing`` ends the answer with an error in its trailers."""

from __future__ import annotations

import base64
import http.client
import importlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path


class Trailing(Exception):
    pass


def chunks(pieces: Iterator[bytes], connection: http.client.HTTPConnection) -> None:
    error = None
    try:
        for piece in pieces:
            connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))
    except Trailing as trouble:
        error = json.dumps({"errorType": "Trailing", "errorMessage": str(trouble)}).encode()
    trailers = b""
    if error is not None:
        trailers = b"Lambda-Runtime-Function-Error-Type: Trailing\r\n"
        trailers += b"Lambda-Runtime-Function-Error-Body: " + base64.b64encode(error) + b"\r\n"
    connection.send(b"0\r\n" + trailers + b"\r\n")


def main() -> None:
    sys.path.insert(0, str(Path.cwd()))
    module, name = sys.argv[1].rsplit(".", 1)
    sys.modules["client"] = sys.modules["__main__"]
    handler = getattr(importlib.import_module(module), name)
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    while True:
        connection.request("GET", "/2018-06-01/runtime/invocation/next")
        answer = connection.getresponse()
        event = json.loads(answer.read())
        id = answer.headers["Lambda-Runtime-Aws-Request-Id"]
        connection.putrequest("POST", f"/2018-06-01/runtime/invocation/{id}/response")
        connection.putheader("Lambda-Runtime-Function-Response-Mode", "streaming")
        connection.putheader("Content-Type", "text/event-stream")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.putheader("Trailer", "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body")
        connection.endheaders()
        chunks(handler(event), connection)
        connection.getresponse().read()


if __name__ == "__main__":
    main()
