"""The small parts: timestamps, patterns, CBOR, compressed bodies, XML text, header lists, answers."""

from __future__ import annotations

import gzip
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.kernel.errors import ApiError
from havre.wire import answers, cbor, codec, http, patterns, timestamps, xmlin, xmlout
from havre.wire.http import HttpRequest
from havre.wire.models import ModelSource
from havre.wire.routing import Route

_MODELS = ModelSource(None)


@given(st.integers(-(10**10), 10**11).map(lambda ms: ms / 1000))
def test_timestamps_come_back(seconds: float) -> None:
    assert timestamps.parse(timestamps.iso8601(seconds)) == pytest.approx(seconds, abs=1e-6)
    assert timestamps.parse(timestamps.http_date(seconds)) == int(seconds)
    expected = datetime.fromtimestamp(int(seconds), UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert timestamps.http_date(seconds) == expected


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2014-04-29T18:30:38Z", 1398796238),
        ("2014-04-29T18:30:38.250Z", 1398796238.25),
        ("2014-04-29T19:30:38+01:00", 1398796238),
        ("2014-04-29", 1398729600),
        ("1398796238", 1398796238),
        ("1.398796238E9", 1398796238),
        ("Tue, 29 Apr 2014 18:30:38 GMT", 1398796238),
    ],
)
def test_forms_of_timestamps(text: str, seconds: float) -> None:
    assert timestamps.parse(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "now", "2014-13-01T00:00:00Z", "Tue, 29 Abc 2014 18:30:38 GMT", "9" * 99, "20140429T"]
)
def test_what_is_no_timestamp(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        timestamps.parse(text)


@pytest.mark.parametrize(
    ("pattern", "holds", "fails"),
    [
        (r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", "Ünï 1_.:/=+-@", "a#"),
        (r"\p{Print}+", "a b", "a\n"),
        (r"[ -\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\r\n\t]*", "a\U0001f600", "\x01"),
        (r"[\w-_]*", "a-_b", "a b"),
        (r"^a|b$", "b", "ab"),
        (r"[a-z]+", "abc", "abc\n"),
        (r"(?i)all|[0-9]{2}", "ALL", "ALL1"),
        # these took exponential time
        (r"^[a-z0-9*](?:[._\-/a-z0-9*]?[a-z0-9*]+)*$", "a*.b/c", "a" * 255 + "!"),
        (r"^[ \t]*[\x20-\x7E]+([ \t]+[\x20-\x7E]+)*[ \t]*$", "\t a \tb ", " " * 512 + "\x07"),
        (r"^[ \t]*[^\x00-\x1F:\x7F]+([ \t]+[^\x00-\x1F:\x7F]+)*[ \t]*$", "a b", " " * 512 + "\x07"),
    ],
)
def test_patterns_match_whole_strings(pattern: str, holds: str, fails: str) -> None:
    whole = patterns.whole(pattern)
    assert whole is not None
    assert re.match(whole, holds)
    assert not re.match(whole, fails)


_CBOR = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(_CBOR)
def test_cbor_comes_back(value: Any) -> None:
    assert cbor.decode(cbor.encode(value)) == value


@given(st.binary())
def test_cbor_refuses_noise(data: bytes) -> None:
    try:
        cbor.decode(data)
    except cbor.CborError:
        pass


@given(st.text())
def test_xml_text_comes_back(text: str) -> None:
    document = f'<a b="{xmlout.escape_attribute(text)}">{xmlout.escape(text)}</a>'
    element = xmlin.read(document.encode())
    expected = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", "\ufffd", text)
    assert element.text == expected
    assert element.attributes == {"b": expected}


@pytest.mark.parametrize("encoding", ["no-such-thing", "shift_jis", "utf-7", "rot13", "idna"])
def test_xml_in_an_encoding_that_is_not_read_is_refused(encoding: str) -> None:
    with pytest.raises(xmlin.XmlError):
        xmlin.read(f'<?xml version="1.0" encoding="{encoding}"?><a/>'.encode())


@pytest.mark.parametrize("document", ['<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "<a>" * 500 + "</a>" * 500])
def test_xml_that_would_grow_is_refused(document: str) -> None:
    with pytest.raises(xmlin.XmlError):
        xmlin.read(document.encode())


def _body(data: bytes, encoding: str = "gzip") -> HttpRequest:
    return HttpRequest("POST", "/", "", {"content-encoding": encoding}, data)


def test_compressed_bodies_are_unfolded() -> None:
    assert http.whole(_body(gzip.compress(b"data", mtime=0))) == b"data"
    assert http.whole(_body(b"data", "identity")) == b"data"
    assert http.whole(_body(gzip.compress(b"data", mtime=0), "custom, gzip")) == b"data"


@pytest.mark.parametrize(
    "data",
    [b"no gzip", gzip.compress(b"data" * 99, mtime=0)[:-9], gzip.compress(b"\x00" * (40 * 1024 * 1024), mtime=0)],
)
def test_bad_compressed_bodies_are_refused(data: bytes) -> None:
    with pytest.raises(ApiError):
        http.whole(_body(data))


def test_answers_are_checked() -> None:
    model = _MODELS.service("ecs")
    good = {"cluster": {"clusterArn": "a", "status": "ACTIVE", "runningTasksCount": 0, "tags": [{"key": "k"}]}}
    codec.check_answer(model, "CreateCluster", good)
    codec.check_answer(model, "CreateCluster", {"cluster": {"clusterArn": None}})
    bad = {"cluster": {"clusterARN": "a", "runningTasksCount": "0", "tags": {}, "statistics": [{"name": 1}]}, "x": 1}
    with pytest.raises(answers.AnswerError) as wrong:
        codec.check_answer(model, "CreateCluster", bad)
    for told in ("clusterARN", "runningTasksCount", "tags", "statistics[0].name", "CreateCluster.x"):
        assert told in str(wrong.value)
    with pytest.raises(answers.AnswerError, match="IN_FLIGHT"):
        codec.check_answer(model, "DescribeServices", {"services": [{"launchType": "IN_FLIGHT"}]})


def test_header_values_never_end_their_line() -> None:
    answer = {"Body": b"x", "ContentType": "text/plain\r\nX-Evil: 1", "Metadata": {"a": "b\nc"}}
    response = codec.render(_MODELS.service("s3"), Route("s3", "GetObject", "rest-xml"), answer, "rid")
    assert not [value for _, value in response.headers if "\r" in value or "\n" in value]
    assert ("x-amz-meta-a", "b c") in response.headers


def test_streams_pass_through() -> None:
    async def chunks() -> Any:
        yield b"x"

    stream = chunks()
    request = HttpRequest("PUT", "/b/k", "", {}, stream)
    route = Route("s3", "PutObject", "rest-xml", {"Bucket": "b", "Key": "k"})
    assert codec.parse(_MODELS.service("s3"), route, request)["Body"] is stream
    response = codec.render(_MODELS.service("s3"), Route("s3", "GetObject", "rest-xml"), {"Body": stream}, "rid")
    assert response.body is stream


def test_head_answers_and_errors_have_no_body() -> None:
    model, route = _MODELS.service("s3"), Route("s3", "HeadObject", "rest-xml")
    assert codec.render(model, route, {"ContentLength": 5}, "rid").body == b""
    refused = codec.render_error(model, route, ApiError("NoSuchKey", "no", 404), "rid")
    assert (refused.status, refused.body) == (404, b"")
