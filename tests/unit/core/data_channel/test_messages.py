from __future__ import annotations

import hashlib
import json
import struct
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.core.data_channel import messages as m
from havre.core.data_channel.reliable import whole_characters

ID = uuid.UUID("dd01e56b-ff48-483e-a508-b5f073f31b16").bytes


@given(st.binary(max_size=2000), st.integers(0, 2**40), st.integers(0, 12))
def test_what_is_packed_is_unpacked(payload, number, kind):
    message = m.Message(m.OUTPUT, number, payload, kind, ID, 1_800_000_000.5, 3)
    assert m.unpack(m.pack(message)) == message


def test_a_message_lies_as_the_protocol_has_it():
    packed = m.pack(m.Message(m.OUTPUT, 7, b"hello", m.DATA, ID, 1_800_000_000.0))
    assert struct.unpack_from(">I", packed) == (116,)
    assert packed[4:36] == b"output_stream_data".ljust(32)
    assert struct.unpack_from(">IQqQ", packed, 36) == (1, 1_800_000_000_000, 7, 0)
    assert packed[64:80] == ID[8:] + ID[:8]
    assert packed[80:112] == hashlib.sha256(b"hello").digest()
    assert struct.unpack_from(">II", packed, 112) == (1, 5)
    assert packed[120:] == b"hello"
    assert m.uuid_text(m.unpack(packed).id) == "dd01e56b-ff48-483e-a508-b5f073f31b16"


def test_types_are_filled_with_zeros_on_the_left_by_some():
    packed = m.pack(m.Message(m.INPUT, 0, b"x", m.DATA))
    other = packed[:4] + m.INPUT.encode().rjust(32, b"\0") + packed[36:]
    assert m.unpack(other).kind == m.INPUT


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x" * 119,
        m.pack(m.Message(m.INPUT, 0, b"abc")) + b"d",
        b"\0\0\0\x75" + m.pack(m.Message(m.INPUT, 0, b"abc"))[4:],
        m.pack(m.Message(m.INPUT, 0, b"x" * m.MOST)),
        m.pack(m.Message(m.INPUT, 0, b"abc"))[:4] + b"\xff" * 32 + m.pack(m.Message(m.INPUT, 0, b"abc"))[36:],
    ],
)
def test_what_is_no_message_is_refused(data):
    with pytest.raises(m.Malformed):
        m.unpack(data)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_refused(data):
    try:
        m.unpack(data)
    except m.Malformed:
        return


@pytest.mark.parametrize(
    ("payload", "size"),
    [
        (b'{"cols":80,"rows":24}', (80, 24)),
        (b'{"cols":0,"rows":24}', None),
        (b'{"cols":80,"rows":70000}', None),
        (b'{"cols":"80","rows":24}', None),
        (b"80x24", None),
    ],
)
def test_sizes(payload, size):
    assert m.read_size(payload) == size


def test_acknowledgements():
    told = {
        "AcknowledgedMessageType": "output_stream_data",
        "AcknowledgedMessageId": "x",
        "AcknowledgedMessageSequenceNumber": 12,
        "IsSequentialMessage": True,
    }
    assert m.read_acknowledged(json.dumps(told).encode()) == 12
    assert m.read_acknowledged(b"{}") is None


@given(st.text(), st.integers(1, 50))
def test_no_character_is_cut_in_two(text, at):
    data = text.encode()[:at]
    cut = whole_characters(data)
    assert len(data) - cut < 4
    data[:cut].decode()


@given(st.binary(min_size=1, max_size=20))
def test_what_is_no_text_is_kept_back_by_three_bytes_at_most(data):
    assert len(data) - whole_characters(data) <= 3
