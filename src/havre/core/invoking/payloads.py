"""How large a payload may be, and whether it is JSON."""

from __future__ import annotations

from typing import Any

import msgspec

from havre.core.invoking import json_words

MIB = 1024 * 1024
SYNCHRONOUS = 6 * MIB
EVENT = 1 * MIB
INVOKE_ASYNC = 256 * 1024
STREAMED = 200 * MIB
"""Of an answer that is written piece by piece."""
CLIENT_CONTEXT = 3583
"""Bytes, in base64 as it comes."""
NOTHING = b"{}"
"""What a function is given when its caller gives nothing."""

_raw = msgspec.json.Decoder(msgspec.Raw)


def json_fault(payload: bytes) -> str | None:
    """Why this is no JSON text, in Lambda's words where it is a short one; None when it is one. Nothing is built: 1 MiB
    takes a millisecond."""
    try:
        _raw.decode(payload)
        if not payload.isascii():  # what is passed over is not looked into
            payload.decode()
    except msgspec.DecodeError as error:
        return json_words.of(payload) or str(error)
    except UnicodeDecodeError as error:
        return json_words.of_bytes(error)
    except RecursionError:
        return "Nested too deeply"
    return None


def value(payload: bytes) -> Any:
    """What a function's answer says; None for what is no JSON."""
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
