"""An external extension: registers under the name of its file, subscribes if told so, writes down what it hears.

``settings.json`` beside it has: events, subscribe (a body, its destination filled in), version, log (where it writes),
await_done (it asks for the next event only when the runtime is done, which telemetry tells).
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

here = Path(sys.argv[0])
settings = json.loads((here.parent / "settings.json").read_text())
done = threading.Semaphore(0)
lock = threading.Lock()


def write(what: object) -> None:
    with lock, open(settings["log"], "a") as file:
        file.write(json.dumps(what) + "\n")


class Telemetry(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        for event in json.loads(self.rfile.read(int(self.headers["Content-Length"]))):
            write({"telemetry": event})
            if event["type"] == "platform.runtimeDone":
                done.release()
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


def call(method: str, path: str, body: object = None, **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    named = {f"Lambda-Extension-{name}": value for name, value in headers.items()}
    connection.request(method, path, json.dumps(body), named)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


def main() -> None:
    body = {"events": settings["events"]}
    status, headers, about = call(
        "POST", "/2020-01-01/extension/register", body, Name=here.name, **{"Accept-Feature": "accountId"}
    )
    write({"registered": json.loads(about)})
    id = headers["Lambda-Extension-Identifier"]
    if wanted := settings.get("subscribe"):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Telemetry)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        wanted["destination"] = {"protocol": "HTTP", "URI": f"http://sandbox.localdomain:{server.server_port}/t"}
        status, _, said = call("PUT", settings["version"], wanted, Identifier=id)
        write({"subscribed": [status, said.decode()]})
    print("extension is ready", flush=True)
    while True:
        _, _, event = call("GET", "/2020-01-01/extension/event/next", Identifier=id)
        write(json.loads(event))
        if json.loads(event)["eventType"] == "SHUTDOWN":
            return
        if settings.get("await_done"):
            done.acquire()


main()
