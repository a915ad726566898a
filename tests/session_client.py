"""A client of Session Manager's data channels, written from the protocol: what tests type into a container with.

Run as a program it is called as the AWS CLI calls session-manager-plugin, and passes on what stands on its standard input.
"""

from __future__ import annotations

import hashlib
import json
import struct
import sys
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

HEAD = struct.Struct(">I32sIQqQ16s32sII")
Json = Mapping[str, Any]


class SessionClient:
    """``handshake`` False is a client of the time before there was one. What was not acknowledged is in ``unanswered``."""

    def __init__(self, session: Json, *, handshake: bool = True, size: tuple[int, int] = (80, 24)) -> None:
        self.session = session
        self.handshake = handshake
        self.size = size
        self._connection: Any = connect(session["streamUrl"], compression=None)
        self.socket: ClientConnection = self._connection.__enter__()
        self.sent = 0
        self.expected = 0
        self.shown = bytearray()
        self.closed: str | None = None
        self.unanswered: set[int] = set()
        opening = {
            "MessageSchemaVersion": "1.0",
            "RequestId": str(uuid.uuid4()),
            "TokenValue": session["tokenValue"],
            "ClientId": str(uuid.uuid4()),
            "ClientVersion": "1.2.0.0",
        }
        self.socket.send(json.dumps(opening))
        if not handshake:
            self.resize(*size)

    # --- sending
    def _message(self, kind: str, number: int, payload_type: int, payload: bytes) -> bytes:
        id = uuid.uuid4().bytes
        digest = hashlib.sha256(payload).digest()
        now = int(time.time() * 1000)
        head = HEAD.pack(
            116, kind.encode().ljust(32), 1, now, number, 0, id[8:] + id[:8], digest, payload_type, len(payload)
        )
        return head + payload

    def send(self, payload_type: int, payload: bytes) -> None:
        self.socket.send(self._message("input_stream_data", self.sent, payload_type, payload))
        self.unanswered.add(self.sent)
        self.sent += 1

    def type(self, text: str) -> None:
        self.send(1, text.encode())

    def resize(self, columns: int, rows: int) -> None:
        self.send(3, json.dumps({"cols": columns, "rows": rows}).encode())

    # --- receiving
    def step(self, timeout: float = 60) -> bool:
        """Deal with one message. False when the connection has ended."""
        try:
            data = self.socket.recv(timeout)
        except ConnectionClosed:
            return False
        assert isinstance(data, bytes)
        header, kind, _, _, number, _, id, digest, payload_type, length = HEAD.unpack_from(data)
        payload = data[HEAD.size :]
        assert (header, length) == (116, len(payload))
        assert digest == hashlib.sha256(payload).digest()
        match kind.decode().strip():
            case "acknowledge":
                self.unanswered.discard(json.loads(payload)["AcknowledgedMessageSequenceNumber"])
            case "channel_closed":
                self.closed = json.loads(payload)["Output"]
            case "output_stream_data":
                self._output(number, id, payload_type, payload)
        return True

    def _output(self, number: int, id: bytes, payload_type: int, payload: bytes) -> None:
        told = {
            "AcknowledgedMessageType": "output_stream_data",
            "AcknowledgedMessageId": str(uuid.UUID(bytes=id[8:] + id[:8])),
            "AcknowledgedMessageSequenceNumber": number,
            "IsSequentialMessage": True,
        }
        with suppress(ConnectionClosed):  # of what came twice, and late
            self.socket.send(self._message("acknowledge", 0, 0, json.dumps(told).encode()))
        if number != self.expected:
            return
        self.expected += 1
        if payload_type == 5 and self.handshake:
            actions = json.loads(payload)["RequestedClientActions"]
            done = [
                {"ActionType": a["ActionType"], "ActionStatus": 1, "ActionResult": None, "Error": ""} for a in actions
            ]
            answer = {"ClientVersion": "1.2.0.0", "ProcessedClientActions": done, "Errors": None}
            self.send(6, json.dumps(answer).encode())
        elif payload_type == 7:
            self.resize(*self.size)
        elif payload_type == 1:
            self.shown += payload

    def until(self, words: str) -> bytes:
        """All that was shown up to these words; what comes behind them is for the next time."""
        wanted, looked = words.encode(), 0
        while (at := self.shown.find(wanted, looked)) < 0:
            looked = max(0, len(self.shown) - len(wanted))
            assert self.step(), (self.shown[-1000:], self.closed)
        cut = at + len(wanted)
        seen, self.shown = bytes(self.shown[:cut]), self.shown[cut:]
        return seen

    def end(self) -> str:
        """Waits for the session's end; gives what the client is told about it."""
        while self.step():
            pass
        self.close()
        assert self.closed is not None, "the connection ended without a word"
        return self.closed

    def close(self) -> None:
        self._connection.__exit__(None, None, None)


def main() -> None:
    if len(sys.argv) == 1:
        print("\nThe Session Manager plugin was installed successfully. Use the AWS CLI to start a session.\n")
        return
    told = json.loads(sys.argv[1])
    session = {name[:1].lower() + name[1:]: value for name, value in told.items()}
    print(f"\nStarting session with SessionId: {session['sessionId']}")
    client = SessionClient(session)
    while client.sent < 2:
        client.step()
    for line in sys.stdin:
        client.type(line.replace("\n", "\r"))
    said = client.end()
    sys.stdout.write(client.shown.decode(errors="replace"))
    print(f"\n\nExiting session with sessionId: {session['sessionId']}.\n{said}")


if __name__ == "__main__":
    main()
